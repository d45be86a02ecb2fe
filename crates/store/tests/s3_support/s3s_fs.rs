//! `s3s-fs` in this process: the one server here that checks signatures.

use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

/// Serves a directory until the test's runtime ends. Returns the address; buckets are the directories in it.
pub(crate) async fn serve(directory: &std::path::Path) -> String {
    let files = s3s_fs::FileSystem::new(directory).expect("a directory");
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(
        super::ACCESS_KEY_ID,
        super::SECRET_ACCESS_KEY,
    ));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let socket = hyper_util::rt::TokioIo::new(socket);
                // A client that goes away in the middle of a request is part of the tests.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(socket, service)
                    .await;
            });
        }
    });
    address
}

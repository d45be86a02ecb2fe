"""Copies a bucket between two endpoints with obstore, the Python face of the Rust crate object_store.

usage: obstore_copy.py FROM TO BUCKET CONCURRENCY
Objects above 16 MiB go as a stream into a multipart upload of CONCURRENCY parts in flight, smaller ones in one PUT each,
CONCURRENCY of them at once: what obstore's documentation offers for each.
"""

import asyncio
import os
import sys

import obstore
from obstore.store import S3Store

PART_BYTES = 8 << 20
STREAM_ABOVE_BYTES = 16 << 20


async def main(source_url: str, destination_url: str, bucket: str, concurrency: int) -> None:
    options = {"allow_http": True, "pool_max_idle_per_host": "2048"}
    source = S3Store(bucket, endpoint=source_url, region="us-east-1", client_options=options)
    destination = S3Store(bucket, endpoint=destination_url, region="us-east-1", client_options=options)
    limit = asyncio.Semaphore(concurrency)

    async def copy(key: str, size: int) -> None:
        async with limit:
            found = await obstore.get_async(source, key)
            if size > STREAM_ABOVE_BYTES:
                body = found.stream(min_chunk_size=PART_BYTES)
                await obstore.put_async(
                    destination, key, body, chunk_size=PART_BYTES, max_concurrency=concurrency
                )
            else:
                await obstore.put_async(destination, key, await found.bytes_async(), use_multipart=False)

    tasks = []
    async for page in obstore.list(source, chunk_size=1000):
        tasks += [asyncio.create_task(copy(meta["path"], meta["size"])) for meta in page]
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
    # Everything is copied. An orderly end of the interpreter now and then meets a thread of the library that still wants it,
    # and aborts.
    os._exit(0)

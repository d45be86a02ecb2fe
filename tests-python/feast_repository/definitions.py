"""The views that the comparison with Feast's own server uses; crates/features/tests/feast has the same as TOML."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String

user = Entity(name="user_id", join_keys=["user_id"], value_type=ValueType.INT64)
shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING)


def source(name):
    batch = FileSource(name=f"{name}_batch", path=f"data/{name}.parquet", timestamp_field="event_timestamp")
    return PushSource(name=f"{name}_push", batch_source=batch)


profile = FeatureView(
    name="profile",
    entities=[user],
    ttl=timedelta(0),
    schema=[
        Field(name="user_id", dtype=Int64),
        Field(name="age", dtype=Int64),
        Field(name="small", dtype=Int32),
        Field(name="score", dtype=Float64),
        Field(name="rough", dtype=Float32),
        Field(name="city", dtype=String),
        Field(name="active", dtype=Bool),
        Field(name="visits", dtype=Array(Int64)),
        Field(name="tags", dtype=Array(String)),
        Field(name="vector", dtype=Array(Float64)),
        Field(name="flags", dtype=Array(Bool)),
    ],
    source=source("profile"),
)

recent = FeatureView(
    name="recent",
    entities=[user],
    ttl=timedelta(hours=1),
    schema=[Field(name="user_id", dtype=Int64), Field(name="clicks", dtype=Int64), Field(name="age", dtype=Int64)],
    source=source("recent"),
)

shops = FeatureView(
    name="shops",
    entities=[shop],
    ttl=timedelta(0),
    schema=[Field(name="shop", dtype=String), Field(name="rating", dtype=Float64)],
    source=source("shops"),
)

model = FeatureService(name="model", features=[profile[["score", "city"]], recent[["clicks"]]])

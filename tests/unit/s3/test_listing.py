from typing import Any

import pytest

from .harness import Service


def fill(s3: Service, *keys: str) -> None:
    for key in keys:
        s3.put_object(Bucket="shelf", Key=key, Body=b"x")


def shown(reply: dict[str, Any]) -> tuple[list[str], list[str]]:
    return [item["Key"] for item in reply["Contents"]], [p["Prefix"] for p in reply["CommonPrefixes"]]


def test_keys_come_in_the_order_of_their_utf_8_bytes(s3: Service) -> None:
    keys = ["\uffee", "😀", "Z", "a", "é", "a/b", "a-b", "A", "\x01"]
    fill(s3, *keys)
    assert s3.keys("shelf") == sorted(keys, key=str.encode)


def test_listing_with_delimiter_rolls_up_prefixes(s3: Service) -> None:
    fill(s3, "a", "b/1", "b/2", "c", "d/e/f", "/")
    assert shown(s3.list_objects_v2(Bucket="shelf", Delimiter="/")) == (["a", "c"], ["/", "b/", "d/"])
    assert shown(s3.list_objects_v2(Bucket="shelf", Delimiter="/", Prefix="d/")) == ([], ["d/e/"])
    assert shown(s3.list_objects_v2(Bucket="shelf", Delimiter="/", Prefix="b/")) == (["b/1", "b/2"], [])
    assert shown(s3.list_objects_v2(Bucket="shelf", Delimiter="")) == (s3.keys("shelf"), [])


def test_a_delimiter_may_be_any_text(s3: Service) -> None:
    fill(s3, "a__b", "a__c", "a_d", "éé", "xéy")
    assert shown(s3.list_objects_v2(Bucket="shelf", Delimiter="__")) == (["a_d", "xéy", "éé"], ["a__"])
    assert shown(s3.list_objects_v2(Bucket="shelf", Delimiter="é"))[1] == ["xé", "é"]


def test_pages_follow_one_another(s3: Service) -> None:
    fill(s3, "a", "b/1", "b/2", "b/3", "c/1", "d")
    request: dict[str, Any] = {"Bucket": "shelf", "Delimiter": "/", "MaxKeys": 1}
    seen = []
    while True:
        reply = s3.list_objects_v2(**request)
        keys, prefixes = shown(reply)
        assert reply["KeyCount"] == len(keys) + len(prefixes) == 1
        seen += keys + prefixes
        if not reply["IsTruncated"]:
            break
        request["ContinuationToken"] = reply["NextContinuationToken"]
    assert seen == ["a", "b/", "c/", "d"]
    assert "NextContinuationToken" not in reply


def test_version_1_goes_on_from_a_marker(s3: Service) -> None:
    fill(s3, "a/1", "a/2", "b", "c")
    first = s3.list_objects(Bucket="shelf", Delimiter="/", MaxKeys=1)
    assert (first["IsTruncated"], first["NextMarker"]) == (True, "a/")
    rest = s3.list_objects(Bucket="shelf", Delimiter="/", Marker=first["NextMarker"])
    assert shown(rest) == (["b", "c"], [])
    plain = s3.list_objects(Bucket="shelf", MaxKeys=2)
    assert plain["IsTruncated"]
    assert "NextMarker" not in plain  # the last key serves, as without a delimiter S3 names none
    assert plain["Contents"][0]["Owner"]["ID"]


def test_a_common_prefix_not_above_the_marker_is_left_out(s3: Service) -> None:
    fill(s3, "a/1", "a/2", "b/1")
    assert shown(s3.list_objects_v2(Bucket="shelf", Delimiter="/", StartAfter="a/1")) == ([], ["b/"])
    assert shown(s3.list_objects_v2(Bucket="shelf", StartAfter="a/1")) == (["a/2", "b/1"], [])
    assert shown(s3.list_objects_v2(Bucket="shelf", Prefix="b", StartAfter="a")) == (["b/1"], [])
    assert shown(s3.list_objects_v2(Bucket="shelf", Prefix="a", StartAfter="b")) == ([], [])


def test_names_are_encoded_only_when_asked(s3: Service) -> None:
    fill(s3, "a b+c/é%", "a b+d")
    plain = s3.list_objects_v2(Bucket="shelf", Delimiter="/", Prefix="a b")
    assert shown(plain) == (["a b+d"], ["a b+c/"])
    assert "EncodingType" not in plain
    url = s3.list_objects_v2(Bucket="shelf", Delimiter="/", Prefix="a b", StartAfter="a ", EncodingType="url")
    assert shown(url) == (["a%20b%2Bd"], ["a%20b%2Bc/"])
    assert (url["EncodingType"], url["Prefix"], url["StartAfter"]) == ("url", "a%20b", "a%20")
    assert s3.keys("shelf", EncodingType="url") == ["a%20b%2Bc/%C3%A9%25", "a%20b%2Bd"]


def test_the_owner_is_told_when_fetched(s3: Service) -> None:
    fill(s3, "k")
    assert "Owner" not in s3.list_objects_v2(Bucket="shelf")["Contents"][0]
    owner = s3.list_objects_v2(Bucket="shelf", FetchOwner=True)["Contents"][0]["Owner"]
    assert owner == s3.list_buckets()["Owner"]


def test_limits_of_a_page(s3: Service) -> None:
    fill(s3, *(f"{n:04}" for n in range(1001)))
    full = s3.list_objects_v2(Bucket="shelf", MaxKeys=5000)
    assert (full["MaxKeys"], full["KeyCount"], full["IsTruncated"]) == (1000, 1000, True)
    none = s3.list_objects_v2(Bucket="shelf", MaxKeys=0)
    assert (none["KeyCount"], none["IsTruncated"]) == (0, False)
    for operation in ("list_objects", "list_objects_v2"):
        assert s3.refused(operation, Bucket="shelf", MaxKeys=-1).code == "InvalidArgument"


@pytest.mark.parametrize("token", ["", "!", "abc", "/w=="])
def test_a_token_we_never_gave_is_refused(s3: Service, token: str) -> None:
    error = s3.refused("list_objects_v2", Bucket="shelf", ContinuationToken=token)
    assert (error.code, error.fields["ArgumentName"]) == ("InvalidArgument", "continuation-token")


def test_one_bucket_does_not_show_anothers_keys(s3: Service) -> None:
    s3.create_bucket(Bucket="shelf-2")
    fill(s3, "mine")
    s3.put_object(Bucket="shelf-2", Key="yours", Body=b"")
    assert (s3.keys("shelf"), s3.keys("shelf-2")) == (["mine"], ["yours"])


def test_a_page_costs_what_it_shows_not_what_lies_below(s3: Service) -> None:
    with s3.db.transaction():
        s3.db.execute(
            """
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 49999)
            INSERT INTO s3_objects SELECT 'shelf', CAST(printf('%d/%05d', i / 25000, i) AS BLOB), 0, 'e', 0,
                'STANDARD', NULL, NULL, NULL, '{}', NULL, NULL, x'' FROM n"""
        )
    rows = 0

    def count() -> int:
        nonlocal rows
        rows += 1
        return 0

    s3.db._connection.set_progress_handler(count, 100)  # every 100 steps of SQLite's machine
    assert shown(s3.list_objects_v2(Bucket="shelf", Delimiter="/")) == ([], ["0/", "1/"])
    s3.db._connection.set_progress_handler(None, 0)
    assert rows < 10


# --- uploads ------------------------------------------------------------------------------------


def test_uploads_are_listed_by_key_and_age(s3: Service) -> None:
    begun = []
    for key in ("b", "a", "b", "c/1", "c/2"):
        s3.clock.step(1)
        begun.append((key, s3.create_multipart_upload(Bucket="shelf", Key=key)["UploadId"]))
    expected = sorted(begun, key=lambda pair: pair[0])
    request: dict[str, Any] = {"Bucket": "shelf", "MaxUploads": 1}
    seen = []
    while True:
        reply = s3.list_multipart_uploads(**request)
        seen += [(u["Key"], u["UploadId"]) for u in reply["Uploads"]]
        if not reply["IsTruncated"]:
            break
        request |= {"KeyMarker": reply["NextKeyMarker"], "UploadIdMarker": reply["NextUploadIdMarker"]}
    assert seen == expected
    assert [u["Key"] for u in s3.list_multipart_uploads(Bucket="shelf", KeyMarker="b")["Uploads"]] == [
        "c/1",
        "c/2",
    ]
    rolled = s3.list_multipart_uploads(Bucket="shelf", Delimiter="/", Prefix="c")
    assert (rolled["Uploads"], rolled["CommonPrefixes"]) == ([], [{"Prefix": "c/"}])

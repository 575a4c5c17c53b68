"""JSONPath in Step Functions' dialect."""

from typing import Any

import pytest

from scones.cloud.asl.paths import PathError, compile_path, insert

DOCUMENT = {
    "a": {"b": [10, 20, 30], "c": None},
    "dash-ed": 1,
    'k with "quotes"': 2,
    "it's": 3,
    "users": [{"status": 0, "n": "x"}, {"status": 1, "n": "y"}],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", DOCUMENT),
        ("$.a.b[1]", 20),
        ("$['a']['b'][0]", 10),
        ('$["a"].c', None),
        ("$.a.b[-1]", 30),
        ("$.dash-ed", 1),
        ("$.a.['b'].[0]", 10),
        ("$.users[(@.length-1)].n", "y"),
        ("$['k with \"quotes\"']", 2),
        (r"$['it\'s']", 3),
    ],
)
def test_a_definite_path_gives_the_value_itself(path: str, value: Any) -> None:
    assert compile_path(path).find(DOCUMENT) == value


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("$.a.b[*]", [10, 20, 30]),
        ("$.a.b[0:2]", [10, 20]),
        ("$.a.b[0,2]", [10, 30]),
        ("$.users[?(@.status == 0)]", [{"status": 0, "n": "x"}]),
        ("$.users[?(@.status == 9)]", []),
        ("$.users[*].n", ["x", "y"]),
        ("$..n", ["x", "y"]),
        ("$.no.such[1:5].thing", []),
        ("$.dash-ed[*]", []),
        ("$..missing", []),
        ("$.a.b.[*]", [10, 20, 30]),
        ("$.users.[0,5]['n']", ["x"]),
        ("$['a', 'users'][0].n", ["x"]),
        ("$.a.b[-2:]", [20, 30]),
        ("$.a.b[:1]", [10]),
        ("$..b[0]", [10]),
        ("$.users[0][*]", [0, "x"]),
    ],
)
def test_an_indefinite_path_always_gives_a_list(path: str, values: list[Any]) -> None:
    assert compile_path(path).find(DOCUMENT) == values


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$['dash-ed', \"it's\"]", {"dash-ed": 1, "it's": 3}),
        ("$.a['c','x']", {"c": None}),
        ("$.users[1]['n', 'status']", {"n": "y", "status": 1}),
        ("$.users[*]['n','x']", [{"n": "x"}, {"n": "y"}]),
        ("$.users[?(@.status == 1)]['n','status']", [{"n": "y", "status": 1}]),
    ],
)
def test_several_names_at_the_end_make_one_object(path: str, value: Any) -> None:
    assert compile_path(path).find(DOCUMENT) == value


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (
            "$.users['a','b']",
            "Expected to find an object with property ['a', 'b'] in path $['users'] but found another type.",
        ),
        (
            "$.a[0]",
            'Filter: [0] can only be applied to arrays. Current context is: {"b":[10,20,30],"c":null}',
        ),
        ("$.x", "No results for path: $['x']"),
        ("$.a.x", "No results for path: $['a']['x']"),
        ("$.x.y", "Missing property in path $['x']"),
        ("$.a.b[9]", "Index out of bounds when evaluating path $['a']['b'][9]"),
        ("$.users.length()", "No results for path: $.users.length()"),
    ],
)
def test_a_path_that_leads_nowhere_says_why(path: str, reason: str) -> None:
    with pytest.raises(PathError) as problem:
        compile_path(path).find(DOCUMENT)
    assert str(problem.value) == reason


@pytest.mark.parametrize(
    ("condition", "titles"),
    [
        ("@.price < 10", "ac"),
        ("@.price == 8.95", "a"),
        ("@.price == '8.95'", "a"),
        ("'8.95' == @.price", "a"),
        ("@.price === '8.95'", ""),
        ("@.kind == fact", "a"),
        ("@.kind==fact && @.price==8.95", "a"),
        ("@.kind != 'fiction'", "a"),
        ("@.isbn", "cd"),
        ("!@.isbn", "ab"),
        ("!(@.isbn)", "ab"),
        ("@.isbn == null", "d"),
        ("@.missing == null", ""),
        ("@.missing != 1", "abcd"),
        ("@.new == true", "b"),
        ("@.new == 'true'", ""),
        ("@.price > $.limit", "bd"),
        ("@.price >= 8.95 && @.price <= 12", "ac"),
        ("@.price < 9 || @.title == 'd'", "acd"),
        ("(@.price < 9 || @.title == 'd') && @.isbn", "cd"),
        ("@['price'] > 20", "d"),
        ("@.tags[0] == 'x'", "a"),
        ("@.tags[*]", "ac"),
        ("@.kind in ['fiction', 'drama']", "bcd"),
        ('@.kind nin ["fiction"]', "a"),
        ("@.kind =~ /FIC.*/i", "bcd"),
        ("@.kind =~ /fic/", ""),
        ("@.tags size 2", "a"),
        ("@.tags empty true", "c"),
        ("@.tags contains 'y'", "a"),
        ("@.kind contains 'act'", "a"),
        ("@.tags subsetof ['x', 'y', 'z']", "ac"),
        ("@.tags anyof ['y', 'q']", "a"),
        ("@.tags all ['x', 'y']", "a"),
        ("@.title > 'b'", "cd"),
        ("@.title > 5", ""),
    ],
)
def test_filters_are_those_of_jayway_s_library(condition: str, titles: str) -> None:
    """What a text, a number, null and nothing are to each other was asked of that library itself."""
    books = [
        {"title": "a", "kind": "fact", "price": 8.95, "tags": ["x", "y"]},
        {"title": "b", "kind": "fiction", "price": 12.99, "new": True},
        {"title": "c", "kind": "fiction", "price": 8.99, "isbn": "1", "tags": []},
        {"title": "d", "kind": "fiction", "price": 22.99, "isbn": None, "new": False},
    ]
    found = compile_path(f"$.books[?({condition})].title").find({"books": books, "limit": 10})
    assert found == list(titles)


def test_a_filter_asks_an_object_itself_and_a_list_s_items() -> None:
    assert compile_path("$.a[?(@.c == null)]").find(DOCUMENT) == [DOCUMENT["a"]]
    assert compile_path("$.a.b[?(@ > 10)]").find(DOCUMENT) == [20, 30]
    assert compile_path("$..[?(@.n)].n").find(DOCUMENT) == ["x", "y"]


@pytest.mark.parametrize("path", ["$..*..*..*", "$..[?(@..x)]..x"])
def test_a_path_that_looks_without_end_is_given_up(path: str) -> None:
    deep: Any = 1
    for _ in range(10):
        deep = [deep, {"x": deep}, deep]
    with pytest.raises(PathError, match="steps to find them"):
        compile_path(path).find(deep)


@pytest.mark.parametrize(
    "text",
    [
        "$.a[?(@.b ==)]",
        "$.a[?(@.b == 'x)]",
        "$.a[?(5)]",
        "$.a[?(word)]",
        "$.a[?(@.b =~ /(/)]",
        "$.a[?(@.b in [1)]",
        "$.a[:]",
        "$.a[x]",
        "$.a[?(" + "(" * 5000,
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        compile_path(text)


@pytest.mark.parametrize("text", ["", "a.b", "$.", "$..", "$.a b", "$.a[", "$[", "$.a..", "$.a[?(]", " $.a"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        compile_path(text)


@pytest.mark.parametrize(
    ("text", "source", "variable"),
    [("$.a", "input", ""), ("$$.Execution.Id", "context", ""), ("$name[0].x", "variable", "name")],
)
def test_a_path_starts_at_the_input_the_context_or_a_variable(text: str, source: str, variable: str) -> None:
    path = compile_path(text)
    assert (path.source, path.variable) == (source, variable)


@pytest.mark.parametrize(
    ("root", "path", "result"),
    [
        ({"x": 1}, "$.a", {"x": 1, "a": "new"}),
        ({}, "$.a.b", {"a": {"b": "new"}}),
        ({"a": {"c": 1}}, "$.a.b", {"a": {"c": 1, "b": "new"}}),
        ({"a": [1, 2]}, "$.a[1]", {"a": [1, "new"]}),
        ({"x": 1}, "$", "new"),
    ],
)
def test_inserting_makes_missing_objects_and_keeps_the_rest(root: Any, path: str, result: Any) -> None:
    assert insert(root, compile_path(path), "new") == result


def test_inserting_changes_no_document_in_place() -> None:
    root = {"a": {"b": 1}}
    insert(root, compile_path("$.a.b"), 2)
    assert root == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("root", "path"), [(1, "$.a"), ({"a": 1}, "$.a.b"), ({"a": [1]}, "$.a[5]"), ([], "$.a")]
)
def test_inserting_through_something_else_fails(root: Any, path: str) -> None:
    with pytest.raises(PathError):
        insert(root, compile_path(path), "new")

import time

import pytest
from botocore.loaders import Loader

from scones.cloud.wire.patterns import compile_pattern

SERVICES = ("s3", "sagemaker", "sagemaker-runtime", "lambda", "stepfunctions", "logs", "sts", "iam", "sns")


def all_patterns() -> dict[str, int]:
    """Each with the length of the longest text that it will be tried on."""
    found: dict[str, int] = {}
    for service in SERVICES:
        for shape in Loader().load_service_model(service, "service-2")["shapes"].values():
            if "pattern" in shape:
                pattern, longest = str(shape["pattern"]), int(shape.get("max", 4096))
                found[pattern] = max(longest, found.get(pattern, 0))
    return found


def matches(pattern: str, text: str) -> bool:
    compiled = compile_pattern(pattern)
    assert compiled is not None
    return compiled.fullmatch(text) is not None


def test_all_but_a_few_patterns_have_an_equal_in_python() -> None:
    patterns = list(all_patterns())
    unsaid = [p for p in patterns if compile_pattern(p) is None]
    assert len(unsaid) <= len(patterns) * 0.08, unsaid


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "Größe 1 @ñ", "a!b"),
        (r"\p{ASCII}*", "plain", "é"),
        (r"\A\S[\p{Print}]*\z", "a b", " a"),
        (r"arn:[\p{Alnum}\-]+:lambda", "arn:aws-cn:lambda", "arn:aws_cn:lambda"),
        ("[\\u0020-\\uD7FF\\uE000-\\uFFFD\\uD800\\uDC00-\\uDBFF\\uDFFF\\t]*", "a 🎈\t", "\x00"),
        (r"[\w-_]*", "a-b_c", "a.b"),
        (r"\d+", "12", "١٢"),
        (r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", "a-b", "a-b\n"),
    ],
)
def test_java_means_the_same_in_python(pattern: str, good: str, bad: str) -> None:
    assert matches(pattern, good)
    assert not matches(pattern, bad)


@pytest.mark.parametrize(
    "pattern", [r"\p{Nonsense}+", r"[a-z&&[^b]]", "(a+)+", "([a-z]*[a-z]){0,40}", "(", "a{2,1}"]
)
def test_what_python_cannot_say_is_left_out(pattern: str) -> None:
    assert compile_pattern(pattern) is None


@pytest.mark.parametrize(
    "probe", ["a" * 2000 + "!", "a-" * 1000 + "!", "/a" * 1000 + "\x00", "0" * 2000 + "\n"]
)
def test_no_text_keeps_a_pattern_busy(probe: str) -> None:
    for pattern, longest in all_patterns().items():
        compiled = compile_pattern(pattern)
        started = time.process_time()
        if compiled is not None:
            compiled.fullmatch(probe[:longest])
        assert time.process_time() - started < 0.5, pattern

"""Hypothesis damages files: bytes anywhere, and any value of a nest of dicts and lists."""

from hypothesis import strategies as st

JSON = st.recursive(
    st.sampled_from([None, True, False, 0, 1, -1, 10**30, 0.5, -0.5, float("nan"), float("inf"),
                     "", "x", "\ud800", "0", "1e999"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("key"), inner),
)  # fmt: skip


@st.composite
def damaged_bytes(draw, good: bytes) -> bytes:
    """The bytes with a piece cut out, put in, put there twice, or in another encoding."""
    a, b = sorted(draw(st.tuples(*[st.integers(0, len(good))] * 2)))
    pieces = st.sampled_from(
        [b"", good[a:b] * 2, b"\0", b"\xff", b"\xef\xbb\xbf", b"\n", b",", b'"', b"-", b"nan",
         b"inf", b"9" * 30, b"[" * 2000, b"1e999", "ž".encode()]
    )  # fmt: skip
    whole = [good.decode().encode("utf-16"), good.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + good]
    return draw(pieces.map(lambda piece: good[:a] + piece + good[b:]) | st.sampled_from(whole))


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Where something stands in a nest of dicts and lists: the keys that lead there."""
    if isinstance(value, dict):
        keys = list(value)
    else:
        keys = range(len(value)) if isinstance(value, list | tuple) else ()
    return [path, *(place for key in keys for place in places(value[key], (*path, key)))]


def put(value: object, path: tuple, new: object) -> object:
    """A copy with `new` at a place, or without what stands there if `new` is ...; tuples stay."""
    if not path:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and new is ...:
        del changed[path[0]]
    else:
        changed[path[0]] = put(value[path[0]], path[1:], new)
    return tuple(changed) if isinstance(value, tuple) else changed


@st.composite
def damaged_values(draw, good: object, others: st.SearchStrategy = JSON) -> object:
    """The values with one of them replaced by another, taken away, or joined by one more."""
    path = draw(st.sampled_from(places(good)))
    there = good
    for key in path:
        there = there[key]
    if isinstance(there, dict) and draw(st.booleans()):
        return put(good, path, there | {"one more": draw(others)})
    return put(good, path, draw(others | st.just(...)) if path else draw(others))

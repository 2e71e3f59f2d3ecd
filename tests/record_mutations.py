"""Seeded mutations of records, accuracy verdicts and bundles, such as somebody could send."""

import copy
import json

VALUES = (
    None, True, False, 0, 1, -1, 2, 64.0, 0.5, -0.0, 1e-320, 1e-9, 1e300, -1e300, 10**15, 2**63, 10**400, float("nan"),
    float("inf"), "", "x", "none", "4", "=1+1", "$\\nope{$", "\x1b]0;x\x07", "\u202e", "`<img src=x>`\n# x", "a|b", [],
    [0], [[]], {}, {"a": 1}, [1] * 1000, "x" * 100_000,
)  # fmt: skip
"""What a value becomes."""


def places(tree):
    """Every place in a JSON tree: the containers and their keys."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield tree, key
        if isinstance(value, dict | list):
            yield from places(value)


def mutated(content, rng):
    """A copy of a JSON tree with one to three values replaced, removed, doubled, scaled or taken from elsewhere."""
    content = copy.deepcopy(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        tree, key = rng.choice(list(places(content)))
        match rng.randrange(8):
            case 0:
                del tree[key]
            case 1 if isinstance(tree, list):
                tree.insert(key, copy.deepcopy(tree[key]))
            case 1:
                tree[rng.choice(("extra", f"{key} ", "\x1b", ""))] = copy.deepcopy(tree[key])
            case 2:
                other, other_key = rng.choice(list(places(content)))
                tree[key] = copy.deepcopy(other[other_key])
            case 3 if isinstance(tree[key], float):
                tree[key] *= rng.choice((-1, 0, 0.1, 10, 1e12, 1e-12))
            case _:
                tree[key] = copy.deepcopy(rng.choice(VALUES))
    return content


def text(content, rng):
    """JSON of a tree, whose bytes are damaged now and then."""
    return damaged(json.dumps(content).encode(), rng) if rng.random() < 0.1 else json.dumps(content).encode()


def damaged(data, rng):
    """Bytes that were cut, doubled or changed at one to four places."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((1, 1, 2, 8, 512)))
        match rng.randrange(4):
            case 0:
                del data[start:end]
            case 1:
                data[start:start] = data[start:end]
            case 2:
                data[start:end] = bytes(rng.choice((0, 0x20, 0x37, 0x80, 0xFF)) for _ in range(end - start))
            case _:
                data[start:end] = rng.randbytes(end - start)
    return bytes(data)

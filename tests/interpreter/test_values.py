"""What the interpreter says a variable holds, Python says too: each script is run by both."""

from __future__ import annotations

import textwrap

import pytest

from tests.reading import UNKNOWN_VALUE, only, variable

# Script → the variables that headcheck must know. All others that it claims to know must be right as well.
SCRIPTS = {
    "arithmetic": (
        """
        a = 2 + 3 * 4 - 1
        b = 7 // 2, 7 % 3, 2 ** 10, 7 / 2, -a, +a, ~5
        c = 512 * 7 * 7
        d = 1 << 4 | 1
        e = 0x10 + 0b11 + 1_000
        f = 6 & 3, 6 ^ 3
        g = 1.5 * 2
        h = "a" + "b" * 3
        i = True + True
        """,
        "abcdefghi",
    ),
    "repetition": (
        """
        a = [0.5] * 3
        b = 2 * (1, 2)
        c = [[]] * 2
        c[0].append(1)
        d = a * 0, len("ab" * 4 + "c")
        e = [1] * -1
        """,
        "abcde",
    ),
    "comparisons": (
        """
        a = 1 < 2, 2 <= 1, 3 > 2, 3 >= 4, 1 == 1.0, 1 != 1
        b = 2 in (1, 2), 3 in [1, 2], "r" in "resnet", "x" not in {"x": 1}, 1 in {1, 2}
        c = None is None, None is not None, not 0, not "x"
        d = (1, 2) == (1, 2), (1, 2) == (1, 3)
        """,
        "abcd",
    ),
    "short circuits": (
        """
        calls = []
        def seen(value):
            calls.append(value)
            return value
        a = seen(0) or seen(2) or seen(3)
        b = seen(1) and seen(0) and seen(9)
        c = "x" if a else "y"
        d = None or ""
        e = 1 < 2 < 3
        """,
        ["a", "b", "c", "d", "calls"],
    ),
    "strings": (
        """
        name = "ResNet50"
        a = name.lower()
        b = name.startswith("Res"), name.endswith("50"), name.upper(), "a-b".replace("-", "_")
        c = f"{a}_{2}_{{x}}"
        d = "a,b,c".split(",")
        e = "-".join(["a", "b"])
        f = name[0], name[-2:], name[:3]
        g = "x" "y"
        h = len(name)
        i = "{}-{}".format("a", 1)
        j = "layer4.0.conv1".split(".")[0]
        k = f"{1:>3}"
        """,
        "abcdefghij",
    ),
    "containers": (
        """
        a = [1, 2, 3]
        a.append(4)
        a.extend([5, 6])
        a.insert(0, 0)
        b = a.pop()
        c = a[1:3], a[-1], len(a)
        a[0] = 9
        del a[1]
        d = {"x": 1, "y": 2}
        d["z"] = 3
        e = d["x"], d.get("q"), d.get("q", 7), list(d), list(d.values())
        del d["y"]
        f = [*a, *(1, 2)]
        g = {**d, "w": 4}
        h = (1,) + (2,)
        i = [1] + [2]
        j = dict(p=1, q=2)
        k = list(j.items())
        l = {1, 2}
        m = a
        m.append(10)
        n = a.copy()
        n.append(11)
        o = list(range(2, 10, 3))
        p = tuple(reversed(o)), sorted([3, 1, 2])
        q = sum([1, 2, 3]), min(4, 2), max([4, 2])
        r = d.pop("x")
        j.update({"r": 3})
        """,
        "abcdefghijkmnopqr",
    ),
    "unpacking": (
        """
        a, b = 1, 2
        (c, d), e = (3, 4), 5
        f, *g = [1, 2, 3]
        *h, i = (1, 2, 3)
        j, *k, l = "wxyz"
        m = n = 7
        [o, p] = [8, 9]
        a, b = b, a
        q = 1, 2
        q, r = q
        s = {0: 4}
        t = 0, 5
        t, s[t] = t
        """,
        "abcdefhijlmnopqrst",
    ),
    "augmented": (
        """
        a = 1
        a += 2
        a *= 5
        b = [1]
        c = b
        b += [2]
        d = {"x": 1}
        d["x"] += 1
        e = "a"
        e += "b"
        f = 17
        f //= 2
        f -= 1
        f %= 4
        f **= 2
        """,
        "abcdef",
    ),
    "comprehensions": (
        """
        a = [x * 2 for x in range(3)]
        b = [x for x in range(10) if x % 2 if x > 3]
        c = [(x, y) for x in (1, 2) for y in (3, 4) if x + y != 5]
        d = {k: v for k, v in [("a", 1), ("b", 2)]}
        e = {x % 2 for x in range(4)}
        f = sum(x for x in (1, 2, 3))
        g = [[y for y in range(x)] for x in range(3)]
        h = any(x > 2 for x in (1, 2, 3)), all(x > 2 for x in (1, 2, 3))
        """,
        "abcdfgh",
    ),
    "a comprehension has variables of its own": (
        """
        n = 2048
        a = [n for n in (1, 2)]
        b = [(lambda n: n)(n) for n in (5,)]
        x = 3
        c = [y for y in [x for x in (x, 4)]]
        d = {n: i for i, n in enumerate("ab")}
        """,
        "nabxcd",
    ),
    "walrus": (
        """
        if (a := 4) > 3:
            b = a
        c = [d := 5, d + 1]
        """,
        "abcd",
    ),
    "loops": (
        """
        a = []
        for i in range(3):
            if i == 1:
                continue
            a.append(i)
        b = 0
        for j, (k, l) in enumerate([(1, 2), (3, 4)]):
            b += j * k + l
        for m in (1, 2, 3):
            if m == 2:
                break
        else:
            m = 99
        for n in ():
            pass
        else:
            o = "else"
        c = [p + q for p, q in zip([1, 2], [3, 4])]
        d = [key for key in {"x": 1, "y": 2}]
        e = list(map(str, [1, 2])), list(filter(lambda v: v > 1, [1, 2, 3]))
        """,
        "abmocde",
    ),
    "functions": (
        """
        def f(a, b=2, *rest, c=3, **more):
            return a, b, rest, c, more.get("d")
        a = f(1)
        b = f(1, 5, 6, 7, c=8, d=9)
        c = f(b=1, a=0)
        d = f(*[1, 2], **{"c": 4})
        def g(x, /, y, *, z):
            return x, y, z
        e = g(1, y=2, z=3)
        def h(): pass
        i = h()
        def early(x):
            if x > 2:
                return "large"
            for y in (1, 2):
                if y == x:
                    return y
            return "none"
        j = early(3), early(2), early(0)
        k = (lambda x, y=2: x + y)(1)
        def fact(n):
            return 1 if n < 2 else n * fact(n - 1)
        l = fact(5)
        """,
        "abcdeijkl",
    ),
    "recursion beyond the limit is unknown": (
        """
        def down(n):
            return 0 if n == 0 else down(n - 1)
        a = down(3)
        b = down(50)
        """,
        "a",
    ),
    "closures": (
        """
        def outer(x):
            def inner(y):
                return x + y
            return inner
        a = outer(1)(2)
        add = [lambda v, k=k: v + k for k in (1, 2)]
        b = add[0](10), add[1](10)
        count = 0
        def bump():
            global count
            count += 1
        bump()
        bump()
        from functools import partial
        c = partial(max, 3)(2)
        """,
        ["a", "b", "count", "c"],
    ),
    "late binding": (
        """
        def a_late():
            def inner():
                return n
            n = 1
            n = 2
            return inner()
        a = a_late()
        m = 5
        def reader():
            return m
        m = 6
        b = reader()
        """,
        "b",
    ),
    "decorators": (
        """
        import functools
        def twice(f):
            @functools.wraps(f)
            def inner(*args, **kwargs):
                return f(*args, **kwargs) * 2
            return inner
        def plus(n):
            def decorator(f):
                def inner(x):
                    return f(x) + n
                return inner
            return decorator
        @twice
        def f(x, y=1):
            return x + y
        @twice
        @plus(10)
        def g(x):
            return x
        @functools.lru_cache(maxsize=None)
        def h(x):
            return x
        a = f(2), f(2, y=5), g(1), h(3)
        """,
        "a",
    ),
    "classes": (
        """
        class Base:
            size = 2
            def __init__(self, n=1):
                self.n = n
            def double(self):
                return self.n * 2
            @property
            def triple(self):
                return self.n * 3
            @staticmethod
            def plus(a, b):
                return a + b
            @classmethod
            def make(cls, n):
                return cls(n)
            def __call__(self, x):
                return x + self.n
        class Child(Base):
            size = 3
            def __init__(self, n):
                super().__init__(n + 1)
                self.more = [n]
            def double(self):
                return super().double() + 100
        a = Base().double(), Base(4).triple, Base.plus(1, 2), Base(5)(6)
        c = Child(1)
        b = c.double(), c.size, c.more, c.triple
        d = Base.make(7).n
        class Other(Base):
            def __init__(self, n):
                self.n = -n
        h = Other.make(3).n, Other(1).make(4).n
        c.n = 50
        e = c.double(), Base.size
        from dataclasses import dataclass
        @dataclass
        class Config:
            name: str
            classes: int = 10
        f = Config("x", 3)
        g = f.name, f.classes, Config("y").classes
        """,
        "abdegh",
    ),
    "try": (
        """
        a = b = c = 0
        try:
            a = 1
        except ValueError:
            a = 2
        else:
            b = 3
        finally:
            c = 4
        try:
            raise KeyError("x")
        except (ValueError, KeyError):
            d = "caught"
        try:
            raise ValueError
        except KeyError:
            e = 1
        except Exception as error:
            e = 2
        def f():
            try:
                return 1
            finally:
                log.append("f")
        log = []
        g = f()
        """,
        ["a", "b", "c", "d", "e", "g", "log"],
    ),
    "match": (
        """
        def size(name):
            match name:
                case "a" | "b":
                    return 1
                case "c":
                    return 2
                case other:
                    return other
        a = size("b"), size("c"), size("z")
        match 3:
            case 3:
                b = "three"
            case _:
                b = "other"
        """,
        "ab",
    ),
    "builtins": (
        """
        a = int("3"), float(2), str(4), bool([]), abs(-3), round(2.6)
        b = isinstance(1, int), isinstance("x", (int, str)), isinstance([], dict)
        c = list(enumerate("ab", 1))
        d = next(iter([4, 5]))
        e = len({"x": 1})
        """,
        "abcde",
    ),
    "names go away": (
        """
        a = 1
        del a
        b = 2
        """,
        "b",
    ),
}


def mattering(names):
    """Lines that use variables for a layer: only what can matter to a model is followed turn by turn."""
    return "head = nn.Module()\n" + "".join(f"head.fc = nn.Linear({name})\n" for name in names)


def by_python(script):
    names = {"__name__": "__main__"}
    exec(compile(script, "script.py", "exec"), names)
    return names


def agrees(said, real):
    """Whether what headcheck says of a value is right as far as it goes."""
    if said == UNKNOWN_VALUE:
        return True
    if type(real) in (list, tuple) and type(said) is type(real):
        return len(said) == len(real) and all(map(agrees, said, real))
    if type(real) is dict and type(said) is dict:
        return said.keys() == real.keys() and all(agrees(said[k], real[k]) for k in real)
    return type(said) is type(real) and said == real


def listed(value):
    """Views and iterators as the lists that headcheck holds them as."""
    return value if isinstance(value, (int, float, str, tuple, list, dict, set, type(None))) else None


@pytest.mark.parametrize("name", SCRIPTS)
def test_python_agrees(name):
    script, known = SCRIPTS[name]
    script = textwrap.dedent(script)
    real = by_python(script)
    execution = only(f"{script}\nfrom torch import nn\n{mattering(known)}", preamble="")
    for one in known:
        assert variable(execution, one) == real[one], one
    for one, value in real.items():
        if not one.startswith("__") and listed(value) is not None and one in execution.state.globals["__main__"]:
            assert agrees(variable(execution, one), value), one


@pytest.mark.parametrize(
    "expression",
    [
        "10 ** 100", "1 << 1000", "'x' * 10**6", "1 / 0", "[] + 1", "'a' + 1", "int('x')", "(1, 2)[5]", "undefined",
        "undefined.a.b", "undefined()", "undefined[0]", "open('x').read()", "input()", "'{}'.format()",
        "2 ** -undefined",
    ],
)  # fmt: skip
def test_what_cannot_be_known_is_unknown_and_the_path_goes_on(expression):
    execution = only(f"a = {expression}\nb = 1", preamble="")
    assert (variable(execution, "a"), variable(execution, "b")) == (UNKNOWN_VALUE, 1)


def test_numbers_between_two():
    script = """
    second = torch.linspace(0, 1, 5)[1].item()
    plain = torch.linspace(0, 0.5, sum([1, 2])).tolist()
    added = torch.linspace(0, 1, 3) + torch.linspace(0, 1, 3)
    open_ = torch.linspace(0, rate, 3)
    """
    execution = only(script)
    assert variable(execution, "second") == 0.25
    assert variable(execution, "plain") == [0.0, 0.25, 0.5]
    assert variable(execution, "added") == variable(execution, "open_") == UNKNOWN_VALUE

"""How much work a file is worth: what reading it costs is bounded by its size, and what runs out is precision.

A step is one operation on one path, or two paths compared. As the steps run out, fewer paths are kept; then calls are
no longer followed and loops run once, which takes no more steps than there is code. So the end of a long file is read,
too, and what all paths share is found.
"""

from __future__ import annotations

STEPS_EACH = 4  # for each operation of what is read
FEWEST = 800
FOR_MODELS = 2_000  # more, once there is a model of a library
LOOPS_EACH = 8  # more for loops over the parts of models, where other paths came to them before
MOST_FOR_A_LOOP = 3_000
MOST_FOR_LOOPS = 6_000  # over all of them
PATHS_OF_A_LOOP = 4  # that it is worth its steps for
PATIENCE = 4  # times as many for the code, where models are confirmed: importing torch takes longer than reading
MOST_FOR_PATIENCE = 60_000
STOP = 2.5  # times as many, and everything stops
BODY = 2 / 3  # of the steps, for the module's body: the rest is left for what nothing calls
# How many paths are kept, by the share of the steps that is used up.
WIDTHS = ((0.5, 32), (0.75, 16), (1.0, 8), (1.25, 4), (1.5, 2))
NARROWEST = 1
FUNCTIONS = 128  # steps for each function that is looked at, of those that calls which are not followed may come by
FEWEST_FUNCTIONS = 64
OBJECTS = 32  # that a path has for each step that it costs to look at all of them


class Budget:
    """The steps of one run over a file. `spent` is how many it took, `limit` how many it should take.

    They are shared out: first the module's body has its part, then each function that nothing calls has one of the
    rest, by its size. What a share leaves is the next one's; what it takes too much is not taken from all of them.
    """

    def __init__(self, limit: int = FEWEST, patient: bool = False) -> None:
        self.spent = 0
        self.limit = limit
        self.patience = MOST_FOR_PATIENCE if patient else 0  # steps that may still be added for it
        self.for_models = False
        self.loops: dict[int, int] = {}
        self.for_loops = 0
        self.most_for_loops = 0
        self.functions = 0  # that were looked at
        self.start = 0
        self.rest: int | None = None  # the steps taken before the functions that nothing calls
        self.part = BODY

    def add_operations(self, count: int) -> None:
        """So much code is read in this run."""
        steps = STEPS_EACH * count
        more = min((PATIENCE - 1) * steps, self.patience)
        self.patience -= more
        self.limit += steps + more
        self.most_for_loops = min(self.most_for_loops + LOOPS_EACH * count, MOST_FOR_LOOPS)

    def add_model(self) -> None:
        """There is a model to look after."""
        if not self.for_models:
            self.for_models = True
            self.limit += FOR_MODELS

    def add_loop(self, loop: int, steps: int) -> None:
        """There is a loop over the parts of a model, which is worth so many steps more on the first path that comes to
        it, and on some others as far as there is code for it."""
        times = self.loops.get(loop, 0)
        if times < PATHS_OF_A_LOOP:
            self.loops[loop] = times + 1
            most = self.most_for_loops if times else MOST_FOR_LOOPS
            more = max(0, min(int(steps / BODY), MOST_FOR_A_LOOP, most - self.for_loops))
            self.for_loops += more
            self.limit += more

    def look_at(self, paths: int, objects: int) -> None:
        """Some paths are looked at whole, with all the objects of each: there is one for each module of a model that
        a loop goes over. Beyond the share that counts no more: what is left is read once, to its end."""
        if not self.skims:
            self.spent += paths * objects // OBJECTS

    def may_look_at(self, functions: int) -> bool:
        """Whether so many more functions may be looked at for what they set, which takes no steps."""
        return self.functions + functions < max(FEWEST_FUNCTIONS, self.limit // FUNCTIONS)

    def share(self, part: float) -> None:
        """Start on a function that nothing calls: when it ends, so much of what there is for all of them is used up."""
        if self.rest is None:
            self.rest = self.spent
        self.start = self.spent
        self.part = part

    def used(self, more: int = 0) -> float:
        """How much of the share is gone, after so many steps more: more than 1 beyond its end."""
        if self.rest is None:
            size = self.part * self.limit
        else:
            size = self.rest + self.part * max(self.limit - self.rest, (1 - BODY) * self.limit) - self.start
        spent = self.spent + more - self.start
        return spent / size if size > 0 else 1.0 + spent

    def most_paths(self) -> int:
        used = self.used()
        return next((width for part, width in WIDTHS if used < part), NARROWEST)

    @property
    def skims(self) -> bool:
        """Whether only as much is done as there is code: calls are not followed, and loops run once."""
        return self.used() >= 1

    @property
    def exhausted(self) -> bool:
        """Whether nothing more is done."""
        return self.spent > STOP * self.limit

    def again(self) -> Budget:
        """The steps for another run over the same file: as many, but those that were taken beyond half."""
        other = Budget()
        other.limit = self.limit - max(0, min(self.spent, self.limit) - self.limit // 2)
        other.for_models = self.for_models
        other.loops, other.for_loops, other.most_for_loops = self.loops, self.for_loops, self.most_for_loops
        return other

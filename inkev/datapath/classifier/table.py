"""The table of ordered rules of one running instance, as operators edit it.

Holds a cache of what the kernel's maps say, and drops it when another process has made a change (the arena counts
them). Two processes
must not write at once: whoever opens a table holds the root's lock.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from struct import Struct
from typing import Any

from inkev.base.errors import Fault, Faults, UserError
from inkev.bpf.maps import Map
from inkev.datapath.classifier.arena import ROOTS, Arena, Draft, table_full
from inkev.datapath.classifier.edits import Change, Edit, choose_group, draft_edit
from inkev.datapath.classifier.rules import (
    RECORD_BYTES,
    Match,
    Record,
    Rule,
    format_rule,
    pack_record,
    parse_rule,
    unpack_record,
)
from inkev.datapath.classifier.tree import GROUPS, Box, build
from inkev.datapath.classifier.words import FAMILIES, WORST, Family, box_of, group_of
from inkev.package.columns import FindInterface
from inkev.package.manifest import Table

PLACEMENT = ("position", "before")
"""Columns of `add` that say where a rule goes, not what it is: both name the place it takes, from 1."""

_U32 = Struct("=I")


class ClassifierTable:
    """A `TableHandle` (`inkev.host.kernel`) over the three maps that IKV_CLASSIFIER declares."""

    def __init__(self, table: Table, rules: Map, tree: Map, hits: Map, *, grace: Callable[[], None],
                 find_interface: FindInterface) -> None:
        self._table = table
        self._hits = hits
        self._grace = grace
        self._find_interface = find_interface
        self._capacity = rules.info.max_entries
        self._records_memory = rules.memory()
        self._memory = tree.memory()
        self._words = memoryview(self._memory).cast("Q")
        self._read()

    def close(self) -> None:
        """Give back the mappings."""
        del self._arena
        self._words.release()
        self._memory.close()
        self._records_memory.close()
        for held in (self._hits,):
            held.close()

    def _read(self) -> None:
        """Learn from the kernel what is there."""
        self._arena = Arena(self._words, self._grace)
        self._changes = self._arena.changes
        self._records: dict[int, Record] = {}
        for number in range(self._capacity):
            at = number * RECORD_BYTES
            if self._records_memory[at : at + 4] != b"\0\0\0\0":
                record = unpack_record(self._records_memory[at : at + RECORD_BYTES])
                if record is not None:
                    self._records[number] = record
        self._order = sorted((record.priority, number) for number, record in self._records.items())
        self._numbers = {record.rule.match: number for number, record in self._records.items()}
        self._free = [number for number in range(self._capacity - 1, -1, -1) if number not in self._records]
        self._resting: list[int] = []

    def _refresh(self) -> None:
        if self._changes != self._arena.changes:
            self._read()

    def _changed(self) -> None:
        self._arena.count_change()
        self._changes = self._arena.changes

    # --- what operators do ---

    def rows(self) -> list[dict[str, Any]]:
        """Return every rule, best first, with the packets it matched and its place."""
        self._refresh()
        packets = self._packets() if "packets" in self._table.columns else {}
        found = []
        for place, (_, number) in enumerate(self._order, 1):
            row = format_rule(self._table, self._records[number].rule)
            extra = {"position": place, "before": place, "packets": packets.get(number, 0)}
            found.append({name: row.get(name, extra.get(name)) for name in self._table.columns})
        return found

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a rule at its `position` (the end where there is none), or change the one with the same match.

        Raises:
            UserError: a fault of the row, `no-such-position`, or `table-full`; the table is as it was.
        """
        self._refresh()
        rule = self._parse(row)
        place = self._place(row)
        number = self._numbers.get(rule.match)
        if number is None:
            self._insert(rule, len(self._order) if place is None else place)
        else:
            self._replace(number, rule, place)
        self._changed()

    def remove(self, row: Mapping[str, Any]) -> None:
        """Remove the rule with this match, or the one at `position` where nothing else is given.

        Raises:
            UserError: `no-such-row`.
        """
        self._refresh()
        number = self._find(row)
        record = self._records[number]
        self._apply(self._edits(number, record, lambda boxes: _without(boxes, record.priority)))
        self._forget(number)
        self._changed()

    def load(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Hold exactly these rules, in this order: a packet sees all of the old or all of the new.

        Rules that stay keep their counters.

        Raises:
            UserError: faults of the rows, all at once; `table-full`. The table is as it was.
        """
        self._refresh()
        self._load(self._parse_all(rows))

    # --- rows ---

    def _parse(self, row: Mapping[str, Any]) -> Rule:
        written = {name: value for name, value in row.items() if name not in PLACEMENT and name != "packets"}
        return parse_rule(self._table, written, self._find_interface)

    def _parse_all(self, rows: Iterable[Mapping[str, Any]]) -> list[Rule]:
        rules: dict[Match, Rule] = {}
        faults: list[Fault] = []
        for place, row in enumerate(rows, 1):
            try:
                rule = self._parse(row)
            except UserError as error:
                faults += [Fault(fault.code, fault.message, f"rule {place}: {fault.where}", fault.why, fault.hint)
                           for fault in error.faults]
                continue
            if rule.match in rules:
                faults.append(Fault("duplicate-row", f"rule {place} matches the same packets as an earlier one",
                                    f"rule {place}", hint="leave one of them out: it would never be reached"))
            rules[rule.match] = rule
        if faults:
            raise Faults(faults)
        return list(rules.values())

    def _place(self, row: Mapping[str, Any]) -> int | None:
        """Return the place asked for, from 0."""
        asked = next((row[name] for name in PLACEMENT if row.get(name) not in {None, 0, "0", ""}), None)
        if asked is None:
            return None
        if not str(asked).isdecimal() or not 1 <= int(asked) <= len(self._order) + 1:
            raise UserError("no-such-position", f"there is no position {asked}", where="position",
                            why=f"there are {len(self._order)} rules", hint="leave it out to add at the end")
        return int(asked) - 1

    def _find(self, row: Mapping[str, Any]) -> int:
        named = {name for name, value in row.items() if value is not None} - {"packets", "verdict"}
        if named and named <= set(PLACEMENT):
            place = self._place(row)
            if place is not None and place < len(self._order):
                return self._order[place][1]
            raise UserError("no-such-row", f"there is no rule {row[next(iter(named))]}", where="position")
        verdict = self._table.columns["verdict"]
        rule = self._parse({"verdict": verdict.values[0] if verdict.values else 0, **row})
        number = self._numbers.get(rule.match)
        if number is None:
            raise UserError("no-such-row", "no rule matches exactly these packets",
                            hint="list the table: columns left out are any")
        return number

    # --- changes ---

    def _insert(self, rule: Rule, place: int) -> None:
        priority = self._priority(place)
        if priority is None:
            rules = [self._records[number].rule for _, number in self._order]
            self._load([*rules[:place], rule, *rules[place:]])
            return
        number = self._take_number()
        record = Record(rule, priority, group_of(rule.match))
        try:
            record = self._regrouped(record, number)
            edits = self._edits(number, record, None)
        except UserError:
            self._free.append(number)
            raise
        self._keep(number, record)
        self._clear_packets([number])
        self._apply(edits)

    def _regrouped(self, record: Record, number: int) -> Record:
        family = next(family for family in FAMILIES if record.rule.match.families & family.bit)
        group = choose_group(self._arena, family, record.group, box_of(record, number, family))
        return Record(record.rule, record.priority, group)

    def _replace(self, number: int, rule: Rule, place: int | None) -> None:
        old = self._records[number]
        priority: int | None = old.priority
        if place is not None and self._order[place : place + 1] != [(old.priority, number)]:
            priority = self._priority(place + (place > self._order.index((old.priority, number))))
        if priority is None:
            self._move(number, rule, place or 0)
            return
        new = Record(rule, priority, old.group)
        boxes = {family: box_of(new, number, family) for family in self._families(rule)}
        edits = [self._edit(family, old, number, _swap(old.priority, box)) for family, box in boxes.items()]
        self._order.remove((old.priority, number))
        self._keep(number, new)
        self._apply(edits)

    def _move(self, number: int, rule: Rule, place: int) -> None:
        """No priority is free between the neighbours: number all anew."""
        rules = [rule if held == number else self._records[held].rule for _, held in self._order]
        rules.remove(rule)
        rules.insert(place, rule)
        self._load(rules)

    def _families(self, rule: Rule) -> list[Family]:
        return [family for family in FAMILIES if rule.match.families & family.bit]

    def _edits(self, number: int, record: Record, change: Change | None) -> list[Edit]:
        """Return the edits of both families; without a change the record's rule comes in."""
        return [self._edit(family, record, number, change) for family in self._families(record.rule)]

    def _edit(self, family: Family, record: Record, number: int, change: Change | None) -> Edit:
        box = box_of(record, number, family)
        return draft_edit(self._arena, family, record.group, box, change or (lambda held: _with(held, box)))

    def _apply(self, edits: Iterable[Edit]) -> None:
        for edit in edits:
            edit.publish()

    def _priority(self, place: int) -> int | None:
        """Return a priority between the neighbours of a place, or None where all are taken."""
        before = self._order[place - 1][0] if place else 0
        after = self._order[place][0] if place < len(self._order) else min(WORST, before + 2 * self._step)
        middle = (before + after) // 2
        return middle if before < middle < after else None

    @property
    def _step(self) -> int:
        return max(1, (WORST - 1) // (self._capacity + 1))

    # --- records ---

    def _take_number(self) -> int:
        if not self._free and self._resting:
            self._arena.rest()
            self._free, self._resting = self._resting, []
        if not self._free:
            raise table_full(f"the table has {self._capacity} rules", "set a larger size for the map of rules")
        return self._free.pop()

    def _keep(self, number: int, record: Record) -> None:
        self._records[number] = record
        self._numbers[record.rule.match] = number
        insort(self._order, (record.priority, number))
        self._write(number, pack_record(record))

    def _forget(self, number: int) -> None:
        record = self._records.pop(number)
        del self._numbers[record.rule.match]
        del self._order[bisect_left(self._order, (record.priority, number))]
        self._write(number, bytes(RECORD_BYTES))
        self._resting.append(number)

    def _write(self, number: int, raw: bytes) -> None:
        self._records_memory[number * RECORD_BYTES : (number + 1) * RECORD_BYTES] = raw

    # --- all at once ---

    def _load(self, rules: list[Rule]) -> None:
        if len(rules) > self._capacity:
            raise table_full(f"{len(rules)} rules, but the table has room for {self._capacity}",
                             "set a larger size for the map of rules")
        records, fresh = self._number(rules)
        block, drafts = self._build(records)
        before = self._arena.root_block
        self._clear_packets(fresh)
        for number in set(self._records) - set(records):
            self._write(number, bytes(RECORD_BYTES))
        for number, record in records.items():
            self._write(number, pack_record(record))
        self._words[0] = block
        del drafts
        self._arena.release_all(before)
        self._changed()
        self._grace()
        self._read()

    def _number(self, rules: list[Rule]) -> tuple[dict[int, Record], list[int]]:
        """Return the rules under their numbers, kept where the match was there before, and which numbers are new."""
        kept = {rule.match for rule in rules}
        free = iter([*reversed(self._free), *self._resting,
                     *(number for match, number in self._numbers.items() if match not in kept)])
        records, fresh = {}, []
        for place, rule in enumerate(rules, 1):
            number = self._numbers.get(rule.match)
            if number is None:
                number = next(free)
                fresh.append(number)
            records[number] = Record(rule, place * self._step, group_of(rule.match))
        return records, fresh

    def _build(self, records: dict[int, Record]) -> tuple[int, list[Draft]]:
        """Return a root block with new trees, none of it published."""
        drafts: list[Draft] = []
        try:
            first = Draft(self._arena, FAMILIES[0])
            drafts.append(first)
            block = first.take(ROOTS)
            for family in FAMILIES:
                draft = Draft(self._arena, family)
                drafts.append(draft)
                for group, boxes in enumerate(_grouped(records, family)):
                    packed = draft.place(build(tuple(boxes), family.region))
                    self._words[block + family.roots + group] = packed
        except UserError:
            for draft in drafts:
                draft.undo()
            raise
        return block, drafts

    # --- counters ---

    def _packets(self) -> dict[int, int]:
        counters = {}
        for key, value in self._hits.items():
            packets = sum(memoryview(value).cast("Q"))
            if packets:
                counters[_U32.unpack(key)[0]] = packets
        return counters

    def _clear_packets(self, numbers: Iterable[int]) -> None:
        zero = bytes(self._hits.stored_bytes)
        self._hits.update_all((_U32.pack(number), zero) for number in numbers)


def _grouped(records: Mapping[int, Record], family: Family) -> Iterator[list[Box]]:
    """Yield each group's boxes, best first."""
    groups: list[list[Box]] = [[] for _ in range(GROUPS)]
    for number, record in records.items():
        if record.rule.match.families & family.bit:
            groups[record.group].append(box_of(record, number, family))
    for boxes in groups:
        yield sorted(boxes)


def _swap(priority: int, box: Box) -> Change:
    """Return the change that puts a box in the place of the one with this priority."""
    return lambda boxes: _with(_without(boxes, priority), box)


def _with(boxes: list[Box], box: Box) -> list[Box]:
    return sorted([*boxes, box])


def _without(boxes: list[Box], priority: int) -> list[Box]:
    return [box for box in boxes if box.priority != priority]

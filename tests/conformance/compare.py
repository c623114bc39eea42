#!/usr/bin/env python3
"""Compares a pynfs result with the failures that are known: compare.py RESULT.json LIST.md TITLE whole|part

The list is the rows of a Markdown table whose first cell is a code in backquotes: | `CODE` | reason |. Exit status 1 if
a code fails that is not listed, or passes although it is listed; of a whole run also if a listed code did not run.
"""

import json
import re
import sys

ROW = re.compile(r"^\|\s*`([A-Z]+[0-9]+[a-z0-9]*)`\s*\|", re.MULTILINE)


def outcome(case):
    """One of passed, failed, skipped."""
    if "failure" in case or "error" in case:
        return "failed"
    return "skipped" if "skipped" in case else "passed"


def main():
    result, listing, title, selection = sys.argv[1:5]
    with open(result, encoding="utf-8") as file:
        cases = {case["code"]: outcome(case) for case in json.load(file)["testcase"]}
    try:
        with open(listing, encoding="utf-8") as file:
            listed = set(ROW.findall(file.read()))
    except FileNotFoundError:
        listed = set()
    failed = {code for code, how in cases.items() if how == "failed"}
    passed = {code for code, how in cases.items() if how == "passed"}
    skipped = set(cases) - failed - passed
    complaints = {
        "fail and are not listed": failed - listed,
        "are listed and pass": listed & passed,
    }
    if selection == "whole":
        complaints["are listed and do not run"] = listed - set(cases)
    print(f"pynfs, {title}: {len(passed)} passed, {len(failed)} failed ({len(failed & listed)} of them listed), "
          f"{len(skipped)} skipped")
    for what, codes in complaints.items():
        if codes:
            print(f"  {what}: {' '.join(sorted(codes))}")
    sys.exit(1 if any(complaints.values()) else 0)


main()

"""Measures, and prints `name value unit` a line; limits and peers are taken in the same run.

`python tests/bench/run.py [PART...]` runs the named parts only. Progress and missed limits go to stderr.
"""

import asyncio
import sys
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import (
    events_figures,
    graphql_figures,
    import_figures,
    kernel_figures,
    query_figures,
    schema_figures,
    terminusdb_figures,
)
from tests.bench.report import Report


def main() -> None:
    """Run the parts named on the command line, or all."""
    report = Report()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(kernel_figures.measure(report, sys.argv[1:]))
        runner.run(query_figures.measure(report, sys.argv[1:]))
        runner.run(import_figures.measure(report, sys.argv[1:]))
        runner.run(schema_figures.measure(report, sys.argv[1:]))
        runner.run(graphql_figures.measure(report, sys.argv[1:]))
        runner.run(events_figures.measure(report, sys.argv[1:]))
        runner.run(terminusdb_figures.measure(report, sys.argv[1:]))
    report.close()


if __name__ == "__main__":
    main()

"""A bulk run, in order: everything is checked before any work, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from threading import Event

from e5_onnx.bulk.journal import Receipt
from e5_onnx.bulk.layout import OutputLayout
from e5_onnx.bulk.output import Output, open_output
from e5_onnx.bulk.plan import Shard, ShardPlan
from e5_onnx.bulk.progress import BulkProgress
from e5_onnx.bulk.settings import output_schema, settings_of
from e5_onnx.bulk.survey import Survey, identify, look_through
from e5_onnx.bulk.work import FinishedRows, Pace, Tell, Work, do_shards, open_bulk_model
from e5_onnx.bulk_job import Job
from e5_onnx.machine.threads import choose_threads
from e5_onnx.model_folder.folder import open_folder
from e5_onnx.text_input.text_files import InputFile, find_files

BulkEngine = Callable[[Work, Iterable[Shard], Tell], Iterator[Receipt]]
"""Does shards, in any order, and yields the receipt of each part that is there whole."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a run.

    Attributes:
        rows: The number of rows of the input that are done.
        written: The number of vectors.
        rejected: The number of bad rows.
        truncated: The number of texts that were cut.
        done_before: The number of rows that earlier runs had done.
        left: The number of rows that are not done, of a run that was stopped.
        left_out: Files in the folders of the input that were not read: how many of each ending.
    """

    rows: int
    written: int
    rejected: int
    truncated: int
    done_before: int
    left: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)


def run_bulk(
    job: Job,
    *,
    engine: BulkEngine | None = None,
    progress: BulkProgress | None = None,
    stop: Event | None = None,
) -> Summary:
    """Embeds files into a data set or an array.

    After a run that was stopped, by whatever, call it again with the same job: it does what is missing.

    Args:
        job: The bulk run to do.
        engine: The engine that does the work; None for this process.
        progress: Told how far it is; None for silence.
        stop: When it is set, what is computed is written and the run returns, with `left` in its summary.

    Returns:
        The counts of rows after the run.

    Raises:
        BulkError: A leaf of it says what is wrong with input or output.
        E5Error: Another leaf of it says what is wrong with the model or the options.
        OSError: If something cannot be read or written.
    """
    progress = progress or BulkProgress(shown=False)
    stop = stop or Event()
    engine = engine or partial(embed_here, stop=stop)
    found = find_files(job.inputs)
    folder = open_folder(job.model)
    folder.check()
    settings = settings_of(job, folder.manifest)
    layout = OutputLayout(job.output)
    with open_output(layout) as output:
        output.check(settings)
        survey = _look_through(job, found.files, progress)
        schema = output_schema(job, folder.manifest, survey.beside)
        plan = ShardPlan(survey.rows, job.shard_rows)
        output.begin(settings, [identify(file, job.identity) for file in found.files], plan)
        before = output.rows
        work = Work(job, settings["role"], survey, schema=schema, layout=layout)
        shards = plan.missing({receipt.first: receipt.rows for receipt in output.receipts.values()})
        progress.begin(plan.rows, done=before)
        _do(work, engine, shards, output=output, progress=progress)
        if output.rows == plan.rows:
            output.finish()
        return _summary(output, before, left=plan.rows - output.rows, left_out=found.left_out)


def embed_here(
    work: Work, shards: Iterable[Shard], tell: Tell, *, stop: Event | None = None
) -> Iterator[Receipt]:
    """The engine that is this process: a thread for each CPU, all calling one session of one thread.

    That is the Embedder's mode `throughput`, only that each thread tokenises too.

    Args:
        work: The run.
        shards: The shards to do.
        tell: Called with every chunk that is done.
        stop: When it is set, what is computed is written and the engine ends.

    Yields:
        The receipts.
    """
    workers = choose_threads(work.job.threads).count
    pace = Pace(work.job.shard_seconds, stop or Event())
    with open_bulk_model(work.job) as model:
        yield from do_shards(work, model, shards, workers=workers, tell=tell, pace=pace)


def _look_through(job: Job, files: Sequence[InputFile], progress: BulkProgress) -> Survey:
    size = sum(file.path.stat().st_size for file in files)
    progress.say(f"looking through {len(files):,} file{'s' * (len(files) != 1)}, {size / 1e6:,.1f} MB")
    return look_through(files, job.columns)


def _do(
    work: Work, engine: BulkEngine, shards: Iterator[Shard], *, output: Output, progress: BulkProgress
) -> None:
    try:
        first = next(shards, None)
        if first is None:
            return
        for receipt in engine(work, chain([first], shards), partial(_tell, progress)):
            output.commit(receipt)
            progress.kept += receipt.rows
    finally:
        progress.close()


def _tell(progress: BulkProgress, done: FinishedRows) -> None:
    progress.add(done.rows, done.tokens, done.truncated)


def _summary(output: Output, before: int, *, left: int, left_out: Mapping[str, int]) -> Summary:
    receipts = output.receipts.values()
    return Summary(
        rows=output.rows,
        written=sum(receipt.written for receipt in receipts),
        rejected=sum(receipt.rejected for receipt in receipts),
        truncated=sum(receipt.truncated for receipt in receipts),
        done_before=before,
        left=left,
        left_out=left_out,
    )

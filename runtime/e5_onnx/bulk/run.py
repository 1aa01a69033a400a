"""A bulk run, in order: everything is checked before any work, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from e5_onnx.bulk.journal import Receipt
from e5_onnx.bulk.layout import Layout
from e5_onnx.bulk.output import Output, open_output
from e5_onnx.bulk.plan import Plan, Shard
from e5_onnx.bulk.progress import BulkProgress
from e5_onnx.bulk.settings import output_schema, settings_of
from e5_onnx.bulk.survey import Survey, identify, look_through
from e5_onnx.bulk.work import Done, Tell, Work, do_shards, open_model
from e5_onnx.bulk_job import Job
from e5_onnx.folder import open_folder
from e5_onnx.text_files import InputFile, find_files
from e5_onnx.threads import choose_threads

Engine = Callable[[Work, Iterable[Shard], Tell], Iterator[Receipt]]
"""Does shards, in any order, and yields the receipt of each that is there whole."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What is there after a run.

    Attributes:
        rows: Of the input.
        written: Rows of the output.
        rejected: Bad rows.
        truncated: Texts that were cut.
        done_before: Rows of the input that earlier runs had done.
    """

    rows: int
    written: int
    rejected: int
    truncated: int
    done_before: int


def run_bulk(job: Job, *, engine: Engine | None = None, progress: BulkProgress | None = None) -> Summary:
    """Embeds files into a data set or an array.

    When it is stopped, by whatever, call it again with the same job: it does what is missing.

    Args:
        job: What is asked for.
        engine: Where the work is done; None for this process.
        progress: Told how far it is; None for silence.

    Returns:
        What is there now.

    Raises:
        BulkError: A leaf of it says what is wrong with input or output.
        E5Error: Another leaf of it says what is wrong with the model or the options.
        OSError: If something cannot be read or written.
    """
    progress = progress or BulkProgress(shown=False)
    engine = engine or embed_here
    files = find_files(job.inputs)
    folder = open_folder(job.model)
    folder.check()
    settings = settings_of(job, folder.manifest)
    layout = Layout(job.output)
    with open_output(layout) as output:
        output.check(settings)
        survey = _look_through(job, files, progress)
        schema = output_schema(job, folder.manifest, survey.beside)
        output.begin(settings, [identify(file, job.identity) for file in files])
        plan = Plan(survey.rows, job.shard_rows)
        before = sum(receipt.rows for receipt in output.receipts.values())
        todo = [index for index in range(len(plan)) if index not in output.receipts]
        work = Work(job, settings["role"], survey, schema=schema, layout=layout)
        _do(
            work,
            engine,
            map(plan.__getitem__, todo),
            output=output,
            progress=progress,
            rows=plan.rows - before,
        )
        output.finish()
        return _summary(output, before)


def embed_here(work: Work, shards: Iterable[Shard], tell: Tell) -> Iterator[Receipt]:
    """The engine that is this process: a thread for each CPU, all calling one session of one thread.

    That is the Embedder's mode `throughput`, only that each thread tokenises too.
    """
    workers = choose_threads(work.job.threads).count
    with open_model(work.job) as model:
        yield from do_shards(work, model, shards, workers=workers, tell=tell)


def _look_through(job: Job, files: Sequence[InputFile], progress: BulkProgress) -> Survey:
    size = sum(file.path.stat().st_size for file in files)
    progress.say(f"looking through {len(files):,} file{'s' * (len(files) != 1)}, {size / 1e6:,.1f} MB")
    return look_through(files, job.columns)


def _do(
    work: Work,
    engine: Engine,
    shards: Iterator[Shard],
    *,
    output: Output,
    progress: BulkProgress,
    rows: int,
) -> None:
    first = next(shards, None)
    if first is None:
        return
    progress.begin(rows)
    try:
        tell = partial(_tell, progress)
        for receipt in engine(work, chain([first], shards), tell):
            output.commit(receipt)
    finally:
        progress.close()


def _tell(progress: BulkProgress, done: Done) -> None:
    progress.add(done.rows, done.tokens, done.truncated)


def _summary(output: Output, before: int) -> Summary:
    receipts = output.receipts.values()
    return Summary(
        rows=sum(receipt.rows for receipt in receipts),
        written=sum(receipt.written for receipt in receipts),
        rejected=sum(receipt.rejected for receipt in receipts),
        truncated=sum(receipt.truncated for receipt in receipts),
        done_before=before,
    )

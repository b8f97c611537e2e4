"""The CSVs of Lightning, Keras, timm and Ultralytics."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.readers.reading import format_of, inventory_of, points, reader_of
from tuitrain.readers.discover import sources_of
from tuitrain.readers.formats import BY_NAME


def test_each_version_of_lightning_is_a_run_and_its_settings_may_come_later(tmp_path: Path) -> None:
    for version in (0, 1):
        folder = tmp_path / f"lightning_logs/version_{version}"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text("epoch,loss,step\n0,2.5,9\n")
    sources = sources_of(tmp_path)
    assert [(source.format, source.name) for source in sources] == [
        ("lightning-csv", "version_0"),
        ("lightning-csv", "version_1"),
    ]
    reader = BY_NAME["lightning-csv"].open(sources[0])
    assert points(reader.poll().items) == [(9, {"epoch": 0, "loss": 2.5})]
    (sources[0].path / "hparams.yaml").write_text(
        "lr: 0.1\nact: !!python/name:torch.nn.ReLU ''\nopt:\n  betas:\n  - 0.9\n"
    )
    assert not reader.poll().items
    assert reader.info.hyperparameters == {"lr": 0.1, "act": "", "opt.betas": [0.9]}


def test_lightning_writes_its_file_anew_when_a_column_appears(tmp_path: Path) -> None:
    folder = tmp_path / "version_3"
    folder.mkdir()
    log = folder / "metrics.csv"
    (folder / "hparams.yaml").write_text("lr: 0.1\n")
    log.write_text("epoch,step,train_loss\n0,9,2.5\n")
    reader = reader_of(folder)
    reader.poll()
    log.write_text("epoch,step,train_loss,val_loss\n0,9,2.5,\n0,9,,3.5\n")
    reading = reader.poll()
    assert reading.reset
    assert points(reading.items) == [(9, {"epoch": 0, "train_loss": 2.5}), (9, {"epoch": 0, "val_loss": 3.5})]
    assert reader.info.hyperparameters == {"lr": 0.1}


def test_rows_of_timm_without_evaluation_have_fewer_cells(tmp_path: Path) -> None:
    run = tmp_path / "20260601-resnet18"
    run.mkdir()
    (run / "args.yaml").write_text("epochs: 2\nmodel: resnet18\n")
    (run / "summary.csv").write_text("epoch,train_loss,eval_loss,eval_top1,lr\r\n0,6.5,5.5,1.0,0.1\r\n")
    reader = reader_of(tmp_path)
    assert reader.info.name == "20260601-resnet18"
    reader.poll()
    assert reader.info.ending == "interrupted"
    with (run / "summary.csv").open("a") as file:
        file.write("1,4.5,0.05\r\n")
    assert points(reader.poll().items) == [(1, {"train_loss": 4.5, "lr": 0.05})]
    assert reader.info.ending == "completed"


def test_a_summary_of_timm_is_one_without_its_settings_too(tmp_path: Path) -> None:
    (tmp_path / "summary.csv").write_text("epoch,train_loss,eval_loss,eval_top1,lr\r\n0,6,5,1,0.1\r\n1,4,0.05\r\n")
    assert points(reader_of(tmp_path).poll().items)[1] == (1, {"train_loss": 4, "lr": 0.05})


def test_events_in_the_folder_of_a_table_are_the_same_run(tmp_path: Path) -> None:
    events = tmp_path / "events.out.tfevents.1.host"
    corpus = Path(__file__).parents[1] / "data/corpus/tb-torch-newstyle/data"
    events.write_bytes(next(path for path in corpus.rglob("*tfevents*")).read_bytes())
    (tmp_path / "results.csv").write_text("epoch,train/box_loss,metrics/mAP50(B)\n1,3,0\n2,2,0.5\n")
    assert [source.format for source in sources_of(tmp_path)] == ["csv-epochs"]
    (tmp_path / "results.csv").unlink()
    (tmp_path / "metrics.csv").write_text("epoch,loss,step\n0,1,0\n")
    (tmp_path / "hparams.yaml").write_text("{}\n")
    assert [source.format for source in sources_of(tmp_path)] == ["lightning-csv"]


def test_a_run_that_may_stop_early_is_not_called_interrupted(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("epoch,train/box_loss,metrics/mAP50(B)\n1,3,0\n2,2,0.5\n")
    (tmp_path / "args.yaml").write_text("task: detect\nepochs: 5\npatience: 100\n")
    assert inventory_of(tmp_path).info.ending is None


def test_fractions_of_epochs_are_not_of_keras(tmp_path: Path) -> None:
    assert format_of("epoch,loss\n1,2\n2,1\n") == "keras-csv"
    assert format_of("epoch,loss\n0.5,2\n1.0,1\n") == "csv"


def test_old_ultralytics_pads_its_cells_and_needs_no_settings(tmp_path: Path) -> None:
    run = tmp_path / "train7"
    run.mkdir()
    (run / "results.csv").write_text(
        "                  epoch,         train/box_loss,       metrics/mAP50(B)\n"
        "                      1,                 3.0246,                      0\n"
    )
    inventory = inventory_of(tmp_path)
    assert (inventory.info.name, inventory.info.axis, inventory.info.ending) == ("train7", "epoch", None)
    assert set(inventory.metrics) == {"train/box_loss", "metrics/mAP50(B)"}


@pytest.mark.parametrize(
    "header, form",
    [
        ("epoch,accuracy,loss,val_accuracy,val_loss", "keras-csv"),
        ("epoch;loss;lr", "keras-csv"),
        ("epoch,loss,val_acc", "csv"),
        ("epoch,val_loss,loss", "csv"),
        ("step,loss,val_loss", "csv"),
    ],
)
def test_the_columns_of_keras_are_sorted(header: str, form: str, tmp_path: Path) -> None:
    separator = ";" if ";" in header else ","
    (tmp_path / "x.log").write_text(header + "\n" + separator.join("1" for _ in header.split(separator)) + "\n")
    assert [source.format for source in sources_of(tmp_path / "x.log")] == [form]


def test_keras_appends_a_second_session(tmp_path: Path) -> None:
    (tmp_path / "training.log").write_text("epoch,loss\n0,3\n1,2\n0,4\n")
    inventory = inventory_of(tmp_path)
    assert (inventory.metrics["loss"].points, inventory.metrics["loss"].first) == (2, 4)


def test_lightning_itself(tmp_path: Path) -> None:
    """The dashboard's reader follows Lightning's logger while it writes."""
    loggers = pytest.importorskip("lightning.pytorch.loggers")
    logger = loggers.CSVLogger(str(tmp_path), flush_logs_every_n_steps=1)
    logger.log_hyperparams({"lr": 0.1})
    logger.log_metrics({"train_loss": 2.5}, step=0)
    logger.save()
    reader = reader_of(tmp_path)
    assert points(reader.poll().items) == [(0, {"train_loss": 2.5})]
    logger.log_metrics({"val_loss": 3.5}, step=1)
    logger.save()
    assert points(reader.poll().items)[-1] == (1, {"val_loss": 3.5})
    assert reader.info.hyperparameters == {"lr": 0.1}

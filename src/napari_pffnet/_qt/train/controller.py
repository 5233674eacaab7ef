"""The step *Train*: a better model from the project's images. No Qt in here.

Training itself runs in a process of its own, see `train.child`; this follows it, and leaves it alone when napari ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari.utils.notifications import ErrorNotification, notification_manager
from psygnal import Signal

from napari_pffnet._qt.background import Background
from napari_pffnet._qt.connections import Connections
from napari_pffnet._qt.engine import Choices
from napari_pffnet._qt.project.controller import ProjectController
from napari_pffnet._qt.train.choice import MaterialChoice
from napari_pffnet._qt.train.comparing import Comparing
from napari_pffnet._qt.train.past import PastTrainings
from napari_pffnet._qt.train.progress import Progress
from napari_pffnet._qt.train.protocol import SideBySide, View
from napari_pffnet._qt.train.runs import (
    FAULTS,
    accepted_models,
    again,
    check_settings,
    command,
    decide,
    decided,
    discard,
    new_folder,
    open_run,
    rename_accepted,
    resumable,
)
from napari_pffnet._qt.train.texts import COPIED, DISCARD, ELSEWHERE, GONE, NO_MODEL, NO_PROJECT, READONLY
from napari_pffnet.io.terminal import as_typed
from napari_pffnet.library import DEFAULT, available, free_name
from napari_pffnet.train.child import Run, RunError, start
from napari_pffnet.train.control import RESULT
from napari_pffnet.train.gate import read_gate


class TrainController:
    """Connects project, view and run.

    Parameters
    ----------
    projects : ProjectController
        Knows the project and saves the image in view.
    view : View
        Shows the state and tells what the user wants.
    background : Background
        Runs what takes long, except for training.
    choices : callable
        Finds models and devices.
    add_model : callable
        Adds a model file to the library: (file, name, note) -> its name there.
    side_by_side : SideBySide
        Shows what two models found in an image.
    """

    #: Name of a new model that was accepted.
    accepted = Signal(str)
    #: Name of the model that the training of the project that is open brought last, default if there is none; and of
    #: that which was proposed before.
    remembered = Signal(str, str)

    def __init__(
        self,
        projects: ProjectController,
        view: View,
        background: Background,
        choices: Callable[[], Choices],
        add_model: Callable[[Path, str, str], str],
        side_by_side: SideBySide,
    ) -> None:
        self.projects, self.view, self.background = projects, view, background
        self.choices, self.add_model = choices, add_model
        self.run: Run | None = None
        self.progress = Progress()
        self._seen = 0
        self._project: Path | None = None
        self._open = False
        self._proposed = DEFAULT
        self._left: list[Run] = []
        self.choice = MaterialChoice(view, self._in_background)
        self.comparing = Comparing(view, self._in_background, side_by_side)
        self.past = PastTrainings(view, self._in_background, self._follow)
        self._connections = Connections(
            (projects.changed, self.follow_project),
            (projects.leaving, self.end_comparison),
            (view.opened, self.set_open),
            (view.ticked, self.poll),
            (view.choice_changed, self.choice.summarize),
            (view.base_chosen, self.choice.count),
            (view.start_requested, self.start),
            (view.command_requested, self.copy_command),
            (view.pause_requested, self.pause),
            (view.stop_requested, self.stop),
            (view.stop_others_requested, self.stop_others),
            (view.discard_requested, self.discard),
            (view.resume_requested, self.resume),
            (view.finish_requested, self.finish),
            (view.accept_requested, self.accept),
            (view.keep_requested, self.keep_old),
            (view.compare_requested, self.compare),
            *self.past.connections,
        )
        self._idle()
        self.follow_project()

    def close(self) -> None:
        """Let go of everything; a run goes on."""
        self._connections.close()
        self.comparing.end()
        self.view.set_watching(False)

    def set_open(self, is_open: bool) -> None:
        """Count the images when the step is unfolded, and find models."""
        self._open = is_open
        if is_open:
            self._look_for_run()
            self.projects.keeper.save()  # what is counted lies in files
            self.find_choices()
            self.choice.count()

    def find_choices(self, old: str = "", new: str = "") -> None:
        """Offer the models and devices that there are now; the chosen one stays chosen, also under a new name."""
        renamed = new if old and old == self.view.options().base else None
        if old and new and self._project:
            rename_accepted(self._project, old, new)

        def show(choices: Choices) -> None:
            before = self.view.options().base
            self.view.set_choices(choices, renamed)
            if self._open and self.view.options().base != before:
                self.choice.count()

        self._in_background("PFFNet: finding models", self.choices, show)

    def follow_project(self) -> None:
        """Find the run of the project that is open now; count its images again."""
        project = self.projects.project
        folder = project.folder if project else None
        if folder != self._project:
            if self.run is not None and self._goes_on():
                self._left.append(self.run)
            self._project = folder
            self.choice.follow(folder)
            self._follow(open_run(folder) if folder else None)
            self.remember()
        if self._open:
            self.choice.count()

    def remember(self) -> None:
        """Choose the model that the project brought last, or default, unless the user has chosen another."""
        if self._project is None:
            return
        brought, there = accepted_models(self._project), available()
        before, self._proposed = self._proposed, next((name for name in brought if name in there), DEFAULT)
        if brought and brought[0] != self._proposed:
            self.view.set_status(GONE.format(brought[0], self._proposed))
        if self.view.options().base in (DEFAULT, before):
            self.view.choose_base(self._proposed)
        self.remembered.emit(self._proposed, before)

    def others(self) -> list[str]:
        """Names of projects that were open before and whose training goes on."""
        self._left = [run for run in self._left if run.goes_on and run is not self.run]
        return [run.output.parents[1].name for run in self._left]

    def stop_others(self) -> None:
        """End the training of projects that were open before, after the present step."""
        for run in self._left:
            run.stop()

    def start(self) -> None:
        """Save what is in view and train."""
        self._look_for_run()
        if self._goes_on():
            return
        run = self._prepared()
        if run is not None:
            self._begin(*run)

    def copy_command(self) -> None:
        """Save what is in view, and give the user the command that the button would start."""
        run = self._prepared()
        if run is not None:
            self.view.copy(as_typed(["python", *run[0][1:]]))
            self.view.set_status(COPIED)

    def resume(self) -> bool:
        """Go on with a run that failed, from its last saved state, with the settings that are there now too."""
        if self.run is None or self._project is None or self._goes_on():
            return False
        try:
            settings = check_settings(self.view.options().settings)
            arguments = again(self.run.command, self._project, self.run.output, settings)
        except (RunError, ValueError) as error:
            self.view.set_status(str(error))
            return False
        return self._begin(arguments, self.run.output)

    def finish(self) -> None:
        """Take the best model that a run which failed had so far: compare it with the old one."""
        if self.resume():
            self.stop()

    def pause(self, on: bool) -> None:
        """Pause the run, or go on."""
        self._do(lambda run: run.pause(on))

    def stop(self) -> None:
        """End the run after the present step; its best model is compared with the old one."""
        if self._do(lambda run: run.stop()):
            self.view.set_status("Stopping after this step; then the best model so far is compared with the old one.")

    def discard(self) -> None:
        """End the run and delete what it made, if the user agrees."""
        run = self.run
        if run is None or not self.view.ask(ELSEWHERE.format(run.elsewhere) if run.elsewhere else DISCARD):
            return
        if not self._do(lambda run: run.forget() if run.elsewhere else run.kill()):
            return
        self._follow(None)
        self.view.set_status("Discarded. The model in use stays as it is.")
        self._in_background("PFFNet: deleting a run", lambda: discard(run.output), self._discarded)

    def _discarded(self, _nothing: object) -> None:
        self.past.follow(self._project)

    def accept(self, name: str) -> None:
        """Add the new model to the library under a name; from then on it is offered, and chosen in *Segment*."""
        run, name = self.run, name.strip()
        if run is None or not name:
            self.view.set_status("Give the new model a name.")
            return
        gate = read_gate(run.output)
        note = f"fine-tuned on {self._project.name if self._project else 'a project'}; {gate.headline()}"
        self._in_background(
            "PFFNet: adding the model",
            lambda: self.add_model(run.output / RESULT, name, note),
            lambda added: self._accepted(run, added),
        )

    def keep_old(self) -> None:
        """Leave the library as it is."""
        if self.run is None:
            return
        if decided(self.run.output):  # it was looked at again
            self._follow(None)
        else:
            self._decided(self.run, None)
            self.view.set_status("The old model stays in use.")

    def compare(self, name: str) -> None:
        """Show what both models found in a held-out image, side by side; no name takes it away."""
        if self.projects.project is not None and self.run is not None:
            self.comparing.show(self.projects.project, self.run, name)
        else:
            self.comparing.end()

    def end_comparison(self) -> None:
        """Show the user's layers again, before another image comes or nuclei are found in them."""
        self.view.end_comparison()
        self.comparing.end()

    def poll(self) -> None:
        """Take in what the run has told since the last time."""
        run = self.run
        if run is None:
            return
        state = run.state  # first: what it told before its end is read then
        events = run.events(self._seen)
        self._seen += len(events)
        self.progress.add(events)
        self.progress.tick(time.monotonic(), state == "running")
        if events:
            self.view.set_curves(self.progress.losses(), self.progress.metrics())
            self.view.set_preview(self.progress.preview)
            for event in events:
                if event["kind"] == "message":
                    self.view.set_status(event["text"][:1].upper() + event["text"][1:])
        if events or state in ("running", "paused"):
            self.view.set_paused(state == "paused")
            text = self.progress.sentence(state == "paused", run.stopping)
            self.view.set_progress(self.progress.step, self.progress.steps, text)
        else:
            self._ended(run)

    def _look_for_run(self) -> None:
        """Follow a run that was started by hand meanwhile."""
        found = open_run(self._project) if self.run is None and self._project else None
        if found is not None and found.goes_on:
            self._follow(found)

    def _prepared(self) -> tuple[list[str], Path] | None:
        """Save what is in view; return the command of a run and its folder, or None if that is impossible."""
        project, options = self.projects.project, self.view.options()
        if project is None:
            return None
        try:
            settings = check_settings(options.settings)
        except ValueError as error:
            self.view.set_status(str(error))
            return None
        if project.readonly:
            self.view.set_status(READONLY)
            return None
        if not self.projects.keeper.save():
            return None
        folder = new_folder(project.folder)
        return command(project.folder, folder, options, settings), folder

    def _begin(self, arguments: Sequence[str], folder: Path) -> bool:
        """Start a command; False (and the user is told) if that fails."""
        try:
            run = start(arguments, folder)
        except RunError as error:
            self.view.set_status(str(error))
            return False
        self._follow(run)
        self.view.set_status("Meanwhile you can go on correcting.")
        return True

    def _follow(self, run: Run | None) -> None:
        """Show a run, from its first event."""
        self.comparing.end()
        self.run, self._seen, self.progress = run, 0, Progress()
        self.view.set_watching(run is not None)
        self.view.set_curves({}, {})
        self.view.set_preview(None)
        if run is None:
            self._idle()
        else:
            self.view.set_page("running")
            self.view.set_status("")
            self.poll()

    def _idle(self) -> None:
        self.view.set_page("setup" if self._project else "none")
        self.view.set_status("" if self._project else NO_PROJECT)
        self.view.set_watching(False)
        self.past.follow(self._project)

    def _ended(self, run: Run) -> None:
        self.view.set_watching(False)
        gate = read_gate(run.output)
        if run.state == "failed":
            self.view.set_page("failed")
            self.view.set_failure(run.failure(), resumable(run.output))
            self.view.set_status("The model in use stays as it is.")
        elif gate.usable and (run.output / RESULT).is_file():
            self.view.set_page("gate")
            name = free_name(f"{self._project.name if self._project else 'model'} {run.output.name[:10]}")
            self.view.set_gate(gate, name, decided(run.output))
            self.view.set_status("")
        else:
            self.view.set_page("failed")
            self.view.set_failure(NO_MODEL, resumable(run.output))
            self.view.set_status("")

    def _accepted(self, run: Run, name: str) -> None:
        self._decided(run, name)
        self.view.set_status(f"'{name}' is in the model library and chosen in Segment.")
        self.view.choose_base(name)
        self._proposed = name
        self.choice.count()
        self.accepted.emit(name)

    def _decided(self, run: Run, name: str | None) -> None:
        try:
            decide(run.output, name)
        except OSError as error:
            self.view.set_status(f"{run.output}: {error.strerror}; the question will come again")
        if run is self.run:
            self._follow(None)
        self.find_choices()

    def _goes_on(self) -> bool:
        return self.run is not None and self.run.goes_on

    def _do(self, action: Callable[[Run], None]) -> bool:
        """Do something to the run; False (and the user is told) if that fails."""
        if self.run is None:
            return False
        try:
            action(self.run)
        except (RunError, OSError) as error:
            self.view.set_status(str(error))
            return False
        self.view.set_paused(self.run.state == "paused")
        return True

    def _in_background(
        self, title: str, job: Callable[[], Any], done: Callable[[Any], None], after: Callable[[], None] = lambda: None
    ) -> None:
        def finish(result: Any) -> None:
            if self._connections:
                after()
                done(result)

        def fail(error: Exception) -> None:
            if self._connections:
                after()
                self.view.set_status(str(error))
            if not isinstance(error, FAULTS):
                notification_manager.dispatch(ErrorNotification(error))

        self.background(
            title,
            lambda _report: job(),
            done=finish,
            failed=fail,
        )

"""What the user is told and asked about a training."""

NO_PROJECT = "Make or open a project, correct some images and mark them as done: the model learns from them."
DISCARD = "End this training and delete what it has learnt?"
ELSEWHERE = "This training runs on another machine ({}), as far as is known here. Forget it and delete its files?"
GONE = "'{}', which this project's training brought, is no longer in the model library; '{}' is proposed."
COPIED = (
    "The command is in the clipboard. It trains exactly as the button does, and the project's 'training' folder, from "
    "which this panel takes the new model, must be the same."
)
NO_MODEL = "Training ended before there was a first model. The model in use stays as it is."
READONLY = "This project cannot be written; use Save As… in the step Project, and train in the copy."

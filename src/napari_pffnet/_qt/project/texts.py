"""What the user is told and asked about a project and its image."""

from napari_pffnet._qt.layers.image_under import ELSEWHERE

NO_PROJECT = "Nothing is saved until you make or open a project."
NO_IMAGES = "Add images, or drop files or folders onto the list."
BUSY = "Images are being added, or the project is copied. Open the other project when that is done."
ALL_DONE = "All images are done."
LAST_ONE = "This is the last one that is not done."
NO_NUCLEI = "No nuclei yet: press Segment, or add a Labels layer and paint."
MARKED = "Marked as complete. Press Complete here for another area, or Mark done."
NOT_WHOLE = "Only what is drawn counts as complete from now on, not the whole image."
WHOLE_AGAIN = "Nothing is drawn any more: the whole image counts as complete again."
TO_TAKE = "to take it: Project > Add > Selected Labels layer."
NOT_TAKEN = f"The new result is not in the project yet; {TO_TAKE}"
BESIDE = f"'{{}}' is not saved: the project keeps '{{}}'; {TO_TAKE}"
LEFT = f"'{{}}' lies on '{{}}', but is not in the project; {TO_TAKE}\n\nGo on without it?"
DONE_ALREADY = "'{}' is done. Put what was found in this part in place of what was predicted there?"
EMPTY = "No nucleus is annotated in '{}'. Mark it as done all the same?"
LOST = "'{}' could not be saved (Save As… keeps it elsewhere). Leave it all the same? What was changed since is lost."
REMOVED = "The nuclei of '{}' were removed from the layers, but the project keeps them. Take '{}' in their place?"
MISPLACED = f"'{{}}' is not taken: {ELSEWHERE}"
STAYS = "what you have edited, accepted or drawn stays"
AMONG = f"'{{}}' takes the place of what was predicted in '{{}}'; {STAYS}. Go on?"
IN_WORK = "\n\n'{}' is done; it will be in work again."
READONLY = "This project is open for reading only; use Save As… to work on a copy."
INSTEAD = "'{}' takes the place of '{}' and of all that you have corrected in it. Go on?"
OTHERS = "'{}' was made of another image than '{}'. Take it all the same?"


def done(labelled: bool, whole: bool) -> str:
    """Say that an image is done; whether it has nuclei, and is complete as a whole."""
    return f"Done{'' if labelled else ', without a nucleus'}.{' It counts as complete as a whole.' if whole else ''}"

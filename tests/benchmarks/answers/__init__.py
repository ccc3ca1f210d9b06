"""Measure the correctness of answers with small models, beside the same passages pasted in.

    python -m tests.benchmarks.answers [SET …] [--model NAME] [-n N] [--minutes M] [--state FILE]

Each question is asked twice over the same passages: as a plain prompt (the passages numbered and
put together, with the wishes to cite by number and to say so if it is not there) and by `ask`. The
model runs behind the Ollama API (`tests/ollama`) at a temperature of 0.

What a model wrote is kept in the state file under its whole prompt, so that a run continues where
the last one stopped, and a change of what is done with its text costs no second run. `judging.py`
has the rules by which answers are judged, `sets.py` the sets:

- natural: questions over the documents of the evaluation data, answerable and not; `held-out` is
  the other half of them, which is only for closing runs;
- squad: questions of SQuAD; those that cannot be answered were made to look answerable;
- negatives: the right answer is a "no" that the text says;
- contradictions: two passages that contradict each other (or, as controls, do not);
- follow-ups, overviews, parts: see `compound.py`; with `-held-out`, their other halves.

Columns: answerable questions answered `right`, and right with a `cited` passage that holds the
answer; the share of all citations in answers to them that `support` (hold it); unanswerable
questions `refused`, or answered with a `marked` caution; answerable ones refused `wrongly`; seconds
of CPU of the model server until the first word is shown.
"""

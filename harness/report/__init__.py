"""Pages for people: a run, two runs side by side, and the leaderboards. No torch.

Every page is one file without anything from outside, so that it can be mailed and opened years later. What
comes from data (texts, ids, names) is escaped where it is put into a page; pages forbid scripts but their own
and every request by a content security policy.
"""

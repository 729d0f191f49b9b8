"""activitynet: one paragraph for each long video of an activity."""

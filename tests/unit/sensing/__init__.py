"""Tests of sensing: each machine of the estimator, the readers, the replay, and all of it on real people."""

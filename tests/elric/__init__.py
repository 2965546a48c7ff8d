"""Tests of ELRIC."""

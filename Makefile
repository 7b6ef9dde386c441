# Everything sets itself up: Python 3.11+, make and a package registry are enough.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps

.PHONY: run test test-slow check bench docs clean

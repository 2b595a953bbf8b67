"""The catalog function: enters each object that came in, before anything is made of it."""

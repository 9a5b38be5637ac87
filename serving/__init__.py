"""The model server: an HTTP shell over tuner.generate. No Django, no database, no users.

A host process (`python -m serving`) is up at once and needs no torch. For each base model that is
asked for it starts one engine process (`python -m serving.engine`) and passes requests on to it.
"""

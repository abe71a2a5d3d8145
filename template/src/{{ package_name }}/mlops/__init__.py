"""The platform's part of this repo: one module a verb. `copier update` maintains it."""

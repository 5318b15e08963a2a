"""`python -m keras_attn` is the command `keras-attn`."""

from keras_attn.extras import exiting_without_extra


def main() -> None:
    """Runs the command line of this process; without its packages, ends with the sentence that says so."""
    with exiting_without_extra():
        from keras_attn.cli.main import main

        main()


if __name__ == "__main__":
    main()

from trunkline.cli.main import run

run()

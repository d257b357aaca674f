"""What happens on the compute node: complete the stage, run the engine under custodian, leave the end marker."""

"""Learning: PPO on single-step episodes, imitation of the best known plans, training over many graphs, fine-tuning."""

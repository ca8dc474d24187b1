"""The two networks of `hdp`: a feed-forward grouper and a sequence-to-sequence placer."""

from __future__ import annotations

import torch
from torch import nn

_GROUPER_HIDDEN = 64
_PLACER_HIDDEN = 128
_LARGEST_LOGIT = 5.0


class Grouper(nn.Module):
    """Features of a class -> logits of its group."""

    def __init__(self, num_features: int, num_groups: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(num_features, _GROUPER_HIDDEN)
        self.out = nn.Linear(_GROUPER_HIDDEN, num_groups)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [C, G] from features [C, F]."""
        return torch.log_softmax(_bounded(self.out(torch.relu(self.hidden(features)))), dim=-1)


class Placer(nn.Module):
    """Embeddings of groups -> a device for each, one after the other.

    A bidirectional LSTM reads all groups; an LSTM that knows the device of the group before goes through them again,
    and attends to all that was read. A group without members is not decided: it gets the token that starts a sequence.
    """

    def __init__(self, embedding_size: int, num_devices: int) -> None:
        super().__init__()
        self.start = num_devices
        self.input = nn.Linear(embedding_size, _PLACER_HIDDEN)
        self.encoder = nn.LSTM(_PLACER_HIDDEN, _PLACER_HIDDEN // 2, batch_first=True, bidirectional=True)
        self.device = nn.Embedding(num_devices + 1, _PLACER_HIDDEN)
        self.decoder = nn.LSTM(2 * _PLACER_HIDDEN, _PLACER_HIDDEN, batch_first=True)
        self.query = nn.Linear(_PLACER_HIDDEN, _PLACER_HIDDEN, bias=False)
        self.mixed = nn.Linear(2 * _PLACER_HIDDEN, _PLACER_HIDDEN)
        self.out = nn.Linear(_PLACER_HIDDEN, num_devices)

    def encode(self, embedding: torch.Tensor) -> torch.Tensor:
        """What was read, [M, G, H], from embeddings [M, G, F]."""
        read: torch.Tensor = self.encoder(torch.tanh(self.input(embedding)))[0]
        return read

    def forward(self, read: torch.Tensor, device: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [B, G, D] of each device, given those before it: ``device`` int64 [B, G]."""
        before = torch.cat([torch.full_like(device[:, :1], self.start), device[:, :-1]], dim=1)
        hidden, _ = self.decoder(torch.cat([read, self.device(before)], dim=-1))
        scores = self.query(hidden) @ read.transpose(1, 2) * _PLACER_HIDDEN**-0.5  # [B, G, G]
        context = torch.softmax(scores, dim=-1) @ read
        mixed = torch.tanh(self.mixed(torch.cat([hidden, context], dim=-1)))
        return torch.log_softmax(_bounded(self.out(mixed)), dim=-1)

    @torch.no_grad()
    def sample(self, read: torch.Tensor, empty: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Devices int64 [B, G] for what was read, [B, G, H]; ``start`` for the groups that are ``empty``: bool [B, G].

        The same as `forward` step by step, with every product that does not wait for a device taken out of the loop:
        the loop is most of a training step.
        """
        from_read, from_device = self.decoder.weight_ih_l0.split(_PLACER_HIDDEN, dim=1)
        bias = self.decoder.bias_ih_l0 + self.decoder.bias_hh_l0
        read_gates = (read @ from_read.T).unbind(1)
        device_gates = self.device.weight @ from_device.T + bias  # [D + 1, 4 H]
        hidden_mix, context_mix = self.mixed.weight.split(_PLACER_HIDDEN, dim=1)
        after_hidden = torch.cat([self.decoder.weight_hh_l0, hidden_mix]).T  # [H, 4 H + H]
        keys = (read @ self.query.weight).transpose(1, 2) * _PLACER_HIDDEN**-0.5  # [B, H, G]
        values = read @ context_mix.T + self.mixed.bias  # attention sums to 1, so the bias passes through it
        luck = -torch.empty(*empty.shape, self.start).exponential_(generator=generator).log()  # Gumbel's
        device = torch.full(empty.shape, self.start)
        before = device[:, 0]
        cell = torch.zeros(len(read), _PLACER_HIDDEN)
        hidden_gates = torch.zeros(len(read), 4 * _PLACER_HIDDEN)
        for step in range(empty.shape[1]):
            gates = hidden_gates + read_gates[step] + device_gates[before]
            admit, forget, new, show = gates.chunk(4, dim=1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(admit) * torch.tanh(new)
            hidden = torch.sigmoid(show) * torch.tanh(cell)
            hidden_gates, mixed = (hidden @ after_hidden).split([4 * _PLACER_HIDDEN, _PLACER_HIDDEN], dim=1)
            context = torch.bmm(torch.softmax(torch.bmm(hidden[:, None], keys), dim=-1), values)[:, 0]
            logits = _bounded(self.out(torch.tanh(mixed + context)))
            before = (logits + luck[:, step]).argmax(dim=1).masked_fill_(empty[:, step], self.start)
            device[:, step] = before
        return device


def _bounded(logits: torch.Tensor) -> torch.Tensor:
    """Keep every choice possible for ever, as the paper does."""
    return _LARGEST_LOGIT * torch.tanh(logits / _LARGEST_LOGIT)


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw Glorot's uniform weights, biases being 0; torch's global generator is left alone."""
    for parameter in network.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter, generator=generator)
        else:
            nn.init.zeros_(parameter)

"""A convolutional LSTM over the frames of a pair (Shi et al. 2015)."""

import torch
from torch import Tensor, nn

_SPREAD = 0.02  # of the first weights (Zhang et al. 2019, section IV-A)

State = tuple[Tensor, Tensor]  # hidden and cell; (N, C, h, w) each


class ConvLSTM(nn.Module):
    """One cell; its convolutions are 3x3.

    Shi's equation 3 without the peepholes, whose weights belong to places and so would tie the
    network to one size. A cell that begins a sequence has no state to hear or to forget: the same
    as a state of zeros, without the weights that nothing would ever train.

    Args:
        channels: of input, hidden state and cell.
        begins: whether it is the first of its sequence.
    """

    def __init__(self, channels: int, *, begins: bool) -> None:
        super().__init__()
        self.begins = begins
        gates = (3 if begins else 4) * channels
        self.of_input = nn.Conv2d(channels, gates, 3, padding=1)
        self.of_hidden = None if begins else nn.Conv2d(channels, gates, 3, padding=1, bias=False)
        for layer in (self.of_input, self.of_hidden):
            if layer is not None:
                nn.init.normal_(layer.weight, std=_SPREAD)
        assert self.of_input.bias is not None
        nn.init.zeros_(self.of_input.bias)
        if not begins:
            nn.init.ones_(self.of_input.bias[3 * channels :])  # remember, at first

    def forward(self, features: Tensor, state: State | None = None) -> State:
        """Take one step.

        Args:
            features: what the encoder found; (N, C, h, w).
            state: from the step before; None where the cell begins.

        Returns:
            The new state; its hidden part is also the output.
        """
        gates: Tensor = self.of_input(features)
        if state is None or self.of_hidden is None:
            assert state is None and self.begins, "a state goes to a cell that does not begin"
            let_in, new, let_out = gates.chunk(3, dim=1)
            cell = let_in.sigmoid() * new.tanh()
        else:
            hidden, old = state
            let_in, new, let_out, keep = (gates + self.of_hidden(hidden)).chunk(4, dim=1)
            cell = keep.sigmoid() * old + let_in.sigmoid() * new.tanh()
        return let_out.sigmoid() * torch.tanh(cell), cell

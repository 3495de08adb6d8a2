"""GRU and AUGRU over packed histories, with their gradients written out: many times fewer passes over memory."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from liber_tasks.backbones.rows import take


class _Recurrence(torch.autograd.Function):
    """States of all steps, and back through them; see `Recurrence` for the formula.

    A step works on the rows of its own behaviours only, in place, in buffers made once.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, attention: Tensor | None, weight: Tensor, sizes: tuple[int, ...]) -> Tensor:
        size = weight.shape[1]
        states = inputs.new_empty(len(inputs), size)
        gates = torch.empty_like(inputs)  # r, u, n of each behaviour
        inner = torch.empty_like(states)  # U_n h of the step before
        previous = inputs.new_zeros(sizes[0] if sizes else 0, size)
        start = 0
        for n in sizes:
            now = slice(start, start + n)
            previous = previous[:n]
            from_state = previous @ weight.T
            inner[now] = from_state[:, 2 * size :]
            gate = torch.add(inputs[now], from_state, out=gates[now])
            both = gate[:, : 2 * size].sigmoid_()
            torch.addcmul(inputs[now, 2 * size :], both[:, :size], inner[now], out=gate[:, 2 * size :]).tanh_()
            update = both[:, size:] if attention is None else both[:, size:] * attention[now].unsqueeze(1)
            previous = torch.lerp(previous, gate[:, 2 * size :], update, out=states[now])
            start += n
        ctx.save_for_backward(gates, inner, states, attention, weight)
        ctx.sizes = sizes
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, Tensor | None, Tensor, None]:
        gates, inner, states, attention, weight = ctx.saved_tensors
        size, sizes = weight.shape[1], ctx.sizes
        d_inputs = torch.empty_like(gates)
        d_attention = None if attention is None else torch.empty_like(attention)
        d_weight = torch.zeros_like(weight)
        carried = gates.new_zeros(sizes[0] if sizes else 0, size)  # what later steps pass back to the state
        nothing = torch.zeros_like(carried)
        start = len(gates)
        for step in range(len(sizes) - 1, -1, -1):
            n = sizes[step]
            start -= n
            now = slice(start, start + n)
            before = states[start - sizes[step - 1] :][:n] if step else nothing[:n]
            reset, update, new = gates[now].split(size, dim=1)
            d_state = carried[:n].add_(outputs[0][now])
            d_update = (new - before).mul_(d_state)
            if attention is None or d_attention is None:
                scaled = update
            else:
                torch.sum(d_update * update, dim=1, out=d_attention[now])
                d_update.mul_(attention[now].unsqueeze(1))
                scaled = update * attention[now].unsqueeze(1)
            d_new = d_state * scaled
            d_state.sub_(d_new)  # through (1 - u') h
            d_now = d_inputs[now]
            torch.ops.aten.tanh_backward.grad_input(d_new, new, grad_input=d_now[:, 2 * size :])
            torch.ops.aten.sigmoid_backward.grad_input(d_update, update, grad_input=d_now[:, size : 2 * size])
            d_reset = d_now[:, 2 * size :] * inner[now]
            torch.ops.aten.sigmoid_backward.grad_input(d_reset, reset, grad_input=d_now[:, :size])
            from_state = d_now.clone()
            from_state[:, 2 * size :].mul_(reset)
            d_state.addmm_(from_state, weight)
            d_weight.addmm_(from_state.T, before)
        return d_inputs, d_attention, d_weight, None


class Recurrence(nn.Module):
    """Gated recurrent unit over packed histories; with attention, DIEN's AUGRU (Zhou et al., AAAI 2019, Eq. 2 to 5, 9).

    r = s(W_r x + U_r h + b_r),  u = s(W_u x + U_u h + b_u),  n = tanh(W_n x + b_n + r * U_n h),
    h' = (1 - u') * h + u' * n  with  u' = a u (AUGRU) or u (GRU);  h is zero before the first behaviour.
    """

    def __init__(self, dimension: int) -> None:
        """`dimension`: of inputs and states."""
        super().__init__()
        self.input = nn.Linear(dimension, 3 * dimension)  # W and b of r, u, n
        self.state = nn.Parameter(torch.empty(3 * dimension, dimension))  # U of r, u, n
        for weight in self.parameters():
            nn.init.uniform_(weight, -(dimension**-0.5), dimension**-0.5)

    def forward(
        self, inputs: Tensor, sizes: tuple[int, ...], index: Tensor | None = None, attention: Tensor | None = None
    ) -> Tensor:
        """States (N, dimension) of N packed behaviours.

        Args:
            inputs: (N, dimension), or (E, dimension), distinct inputs, with `index`.
            sizes: behaviours of each step.
            index: (N,) int64, input of each behaviour.
            attention: (N,), weight of each behaviour.
        """
        with torch.autocast(inputs.device.type, enabled=False):  # half precision would lose what 50 steps add up
            projected = self.input(inputs.float())
            if index is not None:
                projected = take(projected, index)
            attention = None if attention is None else attention.float()
            return _Recurrence.apply(projected, attention, self.state, sizes)  # type: ignore[no-any-return]

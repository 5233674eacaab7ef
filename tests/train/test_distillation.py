"""Being held to a teacher's features."""

import torch

from helpers import annotated, tiny
from napari_pffnet.model import PFFNet
from napari_pffnet.train.distillation import LOSS, Student


def losses(student):
    image, target = annotated()
    torch.manual_seed(0)
    return student([image], [target])


def network(seed):
    torch.manual_seed(seed)
    return PFFNet(tiny()).train()


def test_nothing_is_lost_while_the_network_is_its_teacher():
    same = network(0)
    plain, held = losses(same), losses(Student(same, network(0), 1.0))
    assert held[LOSS].item() < 1e-6
    assert all(held[name].item() == value.item() for name, value in plain.items())


def test_a_network_that_differs_is_drawn_to_it_and_the_teacher_stays():
    student = Student(network(0), teacher := network(1), 2.0)
    loss = losses(student)[LOSS]
    assert loss.item() > 0.1
    loss.backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in student.network.body.parameters())
    assert all(p.grad is None for p in teacher.parameters())
    assert len(list(student.parameters())) == len(list(student.network.parameters()))

from __future__ import annotations

from pathlib import Path

from inkev.package.verifier_log import LIBRARY, explain_verifier_log

LOG = """\
0: R1=ctx() R10=fp0
; void *data = (void *)(long)ctx->data; @ src/nf.bpf.c:7
0: (61) r1 = *(u32 *)(r1 +0)          ; R1_w=pkt(r=0)
; return data[30]; @ src/nf.bpf.c:9
1: (71) r0 = *(u8 *)(r1 +30)
invalid access to packet, off=30 size=1, R1(id=0,off=30,r=0)
R1 offset is outside of the packet
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""


def test_a_log_becomes_the_authors_line() -> None:
    complaint = explain_verifier_log(LOG)
    assert complaint.where == "src/nf.bpf.c:9"
    assert complaint.source == "return data[30];"
    assert complaint.message == "R1 offset is outside of the packet"
    assert complaint.instruction == 1


def test_a_fault_within_the_library_points_at_the_call() -> None:
    log = LOG.replace("src/nf.bpf.c:9", "parse.h:80")
    complaint = explain_verifier_log(log)
    assert complaint.where == "src/nf.bpf.c:7"
    assert complaint.library == "parse.h:80"


def test_the_list_of_library_files_is_whole() -> None:
    folder = Path(__file__).parents[2] / "bpf_common/include/inkev"
    assert {path.name for path in folder.glob("*.h")} <= LIBRARY


def test_a_kernel_before_6_9_gives_the_text_alone() -> None:
    complaint = explain_verifier_log(LOG.replace(" @ src/nf.bpf.c:9", "").replace(" @ src/nf.bpf.c:7", ""))
    assert (complaint.where, complaint.source) == ("", "return data[30];")


def test_an_empty_log_is_no_fault_of_its_reader() -> None:
    assert explain_verifier_log("").message == "the verifier gives no reason"

"""Speed of the planner itself; compare ratios within one run."""

import workbench as wb

MODEL = "meta-llama/Llama-3.1-70B-Instruct"


def test_one_plan(benchmark):
    benchmark(lambda: wb.plan(MODEL, "L40S", tensor_parallel_size=4, max_model_len=8192).performance())


def test_a_search_of_ten_thousand(benchmark):
    lengths, seqs = [256 * i for i in range(1, 101)], [2**i for i in range(10)]
    cards = ["L40S", "H100 SXM"]

    def search():
        return wb.search(
            MODEL,
            cards,
            tensor_parallel_size=[1, 2, 4, 8, 16],
            max_model_len=lengths,
            max_num_seqs=seqs,
        )

    assert benchmark(search).attrs["evaluated"] == 10_000

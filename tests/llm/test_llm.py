from localrag.llm import Prompt, lay, shared


def test_a_prompt_is_cut_at_ends_and_in_steps_and_short_messages_are_no_batch():
    assert lay(range(200), [65], [120], step=40).cuts == (40, 65, 105, 120, 160, 200)
    assert lay(range(8), [], step=4).cuts == (4, 8)
    assert lay(range(3), [0, 3, 3], [3]).cuts == (3,)
    assert lay([], []).cuts == ()
    assert lay(range(100), [20], [30]).cuts == (30, 100)
    assert lay(range(200), [20, 70, 90], [10]).cuts == (10, 90, 200)
    # Whatever follows: a message is cut off, or not, by what stands before it.
    assert lay(range(300), [20, 70, 90], [10]).cuts == (10, 90, 300)


def test_beginnings_are_cut_alike_and_each_stable_part_ends_a_prefix():
    document = list(range(1000))
    one, other = lay([*document, 7, 8], [], [1000]), lay([*document, *range(500)], [1300], [1000])
    assert [cut for cut in one.cuts if cut <= 1000] == [cut for cut in other.cuts if cut <= 1000]
    assert one.prefixes() == other.prefixes() and one.prefixes()[0].tokens == tuple(document)
    first, second = lay(range(10), [], [4, 7]).prefixes()
    assert (first.tokens, first.cuts, first.parts) == ((0, 1, 2, 3), (4,), 1)
    assert (second.tokens, second.cuts, second.parts) == (tuple(range(7)), (4, 7), 2)


def test_reading_is_shared_up_to_the_last_cut_that_agrees():
    prompt = Prompt(tuple(range(20)), (4, 8, 12, 20))
    assert shared([], [], prompt) == 0
    assert shared(list(range(12)), [4, 8, 12], prompt) == 12
    assert shared([*range(9), 99], [4, 8, 10], prompt) == 8
    assert shared([*range(7), 99], [4, 8], prompt) == 4
    # The same tokens, read in other batches.
    assert shared(list(range(12)), [4, 6, 8, 12], prompt) == 4
    assert shared(list(range(12)), [12], prompt) == 0
    # What the model wrote was read one by one.
    assert shared(list(range(12)), [4, 8, 9, 10, 11, 12], prompt) == 8
    # The last batch is always read anew.
    assert shared([1, 2, 3, 4], [2, 4], Prompt((1, 2, 3, 4), (2, 4))) == 2
    assert shared([1], [1], Prompt((1,), (1,))) == 0

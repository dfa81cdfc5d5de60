/* driver: runs one fuzz entry without libFuzzer, so that `make check` needs gcc alone: first on every file of its
 * corpus, then on mutations of them, the same ones every time. It is no search for new bugs (that is `make fuzz`); it
 * keeps old ones from coming back.
 *
 * usage: replay-NAME CORPUS MUTATIONS     a sanitizer ends the process where something is wrong */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { INPUT_MAX = 1 << 16, CHANGES_MAX = 6 };

/* In a block of exactly this size, so that a read past its end is seen. */
static void run_one(const char *data, size_t n)
{
	uint8_t *exact = malloc(n ? n : 1);
	if (!exact)
		exit(1);
	if (n)
		memcpy(exact, data, n);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
}

/* Lengths and counts that break parsers. */
static uint64_t nasty_number(struct rng_stream *r)
{
	static const uint64_t numbers[] = { 0,
		                            1,
		                            2,
		                            7,
		                            8,
		                            31,
		                            32,
		                            127,
		                            128,
		                            255,
		                            256,
		                            65535,
		                            65536,
		                            INT32_MAX,
		                            0x80000000u,
		                            UINT32_MAX,
		                            (uint64_t)1 << 32,
		                            (uint64_t)1 << 61,
		                            INT64_MAX,
		                            (uint64_t)1 << 63,
		                            UINT64_MAX - 1,
		                            UINT64_MAX };
	return numbers[rng_below(r, ARRAY_LEN(numbers))];
}

/* A place in 0..n (n itself too), small ones oftener: headers are where the trouble is. */
static size_t place(struct rng_stream *r, size_t n)
{
	size_t limit = rng_below(r, 2) ? n : MIN(n, (size_t)64);
	return rng_below(r, (uint32_t)limit + 1);
}

static void overwrite(struct buf *b, size_t at, const void *data, size_t n)
{
	if (at < b->len)
		memcpy(b->data + at, data, MIN(n, b->len - at));
}

/* Replaces `cut` bytes at `at` by n others. */
static void splice(struct buf *b, size_t at, size_t cut, const char *data, size_t n)
{
	struct buf out = BUF_INIT;
	buf_add(&out, b->data, at);
	buf_add(&out, data, n);
	buf_add(&out, b->data + at + cut, b->len - at - cut);
	if (out.len > INPUT_MAX)
		out.len = INPUT_MAX;
	buf_release(b);
	*b = out;
}

static void change(struct buf *b, struct rng_stream *r, const struct buf *other)
{
	static const char signs[] = "{}[]\"\\:,\n\t #&*!|>%@`'-_.0e\xff\x80\xc3";
	size_t at = place(r, b->len), n = place(r, 32), from = place(r, other->len), taken = place(r, 64);
	uint64_t number = nasty_number(r);
	char c = (char)rng_next(r), sign = signs[rng_below(r, sizeof(signs) - 1)];
	n = MIN(n, b->len - at);
	taken = MIN(taken, other->len - from);
	if (at < b->len && rng_below(r, 2)) { /* in place */
		switch (rng_below(r, 5)) {
		case 0: b->data[at] = (char)(b->data[at] ^ 1 << rng_below(r, 8)); break;
		case 1: b->data[at] = c; break;
		case 2: b->data[at] = sign; break;
		case 3: overwrite(b, at, &number, 4); break;
		default: overwrite(b, at, &number, 8); break;
		}
		return;
	}
	switch (rng_below(r, 6)) {
	case 0: splice(b, at, n, NULL, 0); break;
	case 1: splice(b, at, 0, &sign, 1); break;
	case 2: splice(b, at, 0, &c, 1); break;
	case 3: splice(b, at, n, other->data + from, taken); break;
	case 4: splice(b, at, b->len - at, NULL, 0); break;
	default: splice(b, at, b->len - at, other->data + from, other->len - from); break;
	}
}

static struct buf *load_corpus(const char *folder, size_t *n)
{
	struct err e = ERR_INIT;
	char **names;
	if (io_list(folder, &names, n, &e) || *n == 0) {
		printf("%s\n", e.msg[0] ? e.msg : "the corpus is empty");
		exit(1);
	}
	struct buf *inputs = mem_array(*n, sizeof(*inputs));
	for (size_t i = 0; i < *n; i++) {
		char *path = io_join(folder, names[i]);
		if (io_read(&inputs[i], path, &e)) {
			printf("%s\n", e.msg);
			exit(1);
		}
		buf_add(&inputs[i], NULL, 0); /* an empty file has data too */
		mem_free(path);
	}
	io_list_free(names, *n);
	return inputs;
}

int main(int argc, char **argv)
{
	size_t n, runs = 0;
	if (argc != 3)
		return 2;
	log_set(LOG_QUIET);
	struct buf *corpus = load_corpus(argv[1], &n);
	size_t mutations = strtoul(argv[2], NULL, 10);
	struct rng_stream r = { hash_64(argv[1], strlen(argv[1])) };
	for (; runs < n; runs++)
		run_one(corpus[runs].data, corpus[runs].len);
	while (runs < n + mutations) {
		const struct buf *from = &corpus[rng_below(&r, (uint32_t)n)],
				 *other = &corpus[rng_below(&r, (uint32_t)n)];
		struct buf b = BUF_INIT;
		buf_add(&b, from->data, MIN(from->len, (size_t)INPUT_MAX));
		for (uint32_t changes = 1 + rng_below(&r, CHANGES_MAX); changes > 0; changes--)
			change(&b, &r, other);
		run_one(b.data, b.len);
		buf_release(&b);
		runs++;
	}
	printf("%zu inputs\n", runs);
	for (size_t i = 0; i < n; i++)
		buf_release(&corpus[i]);
	mem_free(corpus);
	return 0;
}

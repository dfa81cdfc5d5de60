/* tokenize: ids of texts, for tools/check-tokenizer to compare. Reads JSON texts, one a line, and writes for each a line of ids.
 *
 * usage: tokenize MODEL special|plain [decoded] < TEXTS     MODEL: as `kungfu tokenize` takes it; decoded: each line is {"ids", "text"}
 *        tokenize MODEL save DIR                            writes the tokenizer there */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "token/tokenizer.h"

/* "lossy" stands before the ids when they do not give the text back: the vocabulary lacks one of its bytes. */
static int encode_line(const struct tokenizer *t, const char *line, size_t n, int flags, bool decoded, double *seconds, size_t *bytes, struct err *e)
{
	struct tokens ids = { 0 }, offsets = { 0 };
	struct buf back = BUF_INIT;
	json_t *text = jsonx_load(line, n, "stdin", e);
	if (!json_is_string(text))
		return err_set(e, "a line that is no JSON text");
	double begin = clock_seconds();
	int rc = tokenizer_encode_offsets(t, json_string_value(text), json_string_length(text), flags, &ids, &offsets, e);
	*seconds += clock_seconds() - begin;
	*bytes += json_string_length(text);
	tokenizer_decode(t, ids.id, ids.n, false, &back);
	bool lossy = back.len != json_string_length(text) || memcmp(buf_str(&back), json_string_value(text), back.len) != 0;
	printf("%s", decoded ? "{\"ids\": [" : lossy ? "lossy" : "");
	for (size_t i = 0; i < ids.n; i++) {
		printf("%s%d", decoded && !i ? "" : decoded ? ", " : " ", ids.id[i]);
		if (i && offsets.id[i] < offsets.id[i - 1])
			rc = err_set(e, "offsets fall at token %zu of %.*s", i, (int)n, line);
	}
	if (decoded) {
		json_t *again = jsonx_text(buf_str(&back), back.len);
		char *quoted = jsonx_line(again);
		printf("], \"text\": %s}", quoted);
		mem_free(quoted);
		json_decref(again);
	}
	putchar('\n');
	buf_release(&back);
	tokens_release(&ids);
	tokens_release(&offsets);
	json_decref(text);
	return rc;
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct buf in = BUF_INIT;
	struct tokenizer *t = argc >= 3 ? tokenizer_open(argv[1], &e) : NULL;
	double seconds = 0;
	size_t bytes = 0;
	int rc = t ? 0 : -1;
	if (argc < 3)
		err_set(&e, "usage: tokenize MODEL special|plain, or tokenize MODEL save DIR");
	if (rc == 0 && argc == 4 && strcmp(argv[2], "save") == 0)
		rc = tokenizer_save(t, argv[3], &e);
	else if (rc == 0)
		rc = io_read(&in, "-", &e);
	for (size_t at = 0; rc == 0 && at < in.len;) {
		const char *newline = memchr(in.data + at, '\n', in.len - at);
		size_t end = newline ? (size_t)(newline - in.data) : in.len;
		rc = encode_line(t, in.data + at, end - at, strcmp(argv[2], "special") == 0 ? TOKENIZE_SPECIAL : 0, argc > 3, &seconds, &bytes, &e);
		at = end + 1;
	}
	if (rc)
		fprintf(stderr, "%s\n", e.msg);
	else if (bytes)
		fprintf(stderr, "%zu bytes in %.3f s: %.1f MB/s\n", bytes, seconds, (double)bytes / seconds / 1e6);
	buf_release(&in);
	tokenizer_free(t);
	return rc ? 1 : 0;
}

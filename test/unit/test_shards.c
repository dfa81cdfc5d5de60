/* Token shards: what was written is read, in windows and pieces; torn and changed files are refused. */
#include "../test.h"

#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../faults.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/rng.h"
#include "corpus/shards.h"

enum { END = 0, DOCUMENTS = 300, MOST_LENGTH = 40, FILE_TOKENS = 64, ALL = DOCUMENTS * (MOST_LENGTH + 1) };

/* What is written: documents of random lengths, alternately to two sources, every seventh held out. */
struct written {
	uint32_t vocabulary;
	int32_t ids[2][SHARDS_SPLITS][ALL];
	uint64_t begin[2][SHARDS_SPLITS][DOCUMENTS];
	size_t n[2][SHARDS_SPLITS], documents[2][SHARDS_SPLITS];
};

static const char *place(const char *name)
{
	static char path[500];
	snprintf(path, sizeof(path), "%s/shards-%s", test_tmp(), name);
	return path;
}

static int add_document(struct shards_writer *w, struct written *x, struct rng_stream *r, int i, struct err *e)
{
	int source = i % 2, split = i % 7 == 6;
	size_t n = rng_below(r, MOST_LENGTH), *at = &x->n[source][split];
	int32_t *ids = x->ids[source][split] + *at;

	for (size_t k = 0; k < n; k++)
		ids[k] = 1 + (int32_t)rng_below(r, x->vocabulary - 1);
	x->begin[source][split][x->documents[source][split]++] = *at;
	ids[n] = END;
	*at += n + 1;
	return shards_writer_add(w, (size_t)source, split, ids, n, 3 * n, e);
}

static int write_shards(struct written *x, const char *dir, uint32_t vocabulary, struct err *e)
{
	const struct shards_facts f = { "0123456789abcdef0123456789abcdef", vocabulary, END, FILE_TOKENS };
	struct rng_stream r = { vocabulary };
	struct shards_writer *w;

	memset(x, 0, sizeof(*x));
	x->vocabulary = vocabulary;
	if (shards_writer_open(&w, dir, &f, e) < 0)
		return -1;
	int status = shards_writer_source(w, "web", 0.75, NAN, e) < 0 ? -1 : shards_writer_source(w, "b", 0.25, 3, e);
	for (int i = 0; i < DOCUMENTS && !status; i++)
		status = add_document(w, x, &r, i, e);
	if (!status)
		return shards_writer_place(w, json_pack("{s:s}", "by", "a test"), e);
	shards_writer_abort(w);
	return -1;
}

static void check_documents(struct test *t, const struct shards_stream *x, const uint64_t *begin, size_t n)
{
	uint64_t length;

	CHECK(t, x->documents == n);
	for (size_t i = 0; i < n; i++) {
		uint64_t at = shards_document(x, i, &length);
		CHECK(t, at == begin[i] && at + length == (i + 1 < n ? begin[i + 1] : x->tokens));
	}
}

/* Windows are the stream, their pieces begin where documents do. */
static void check_windows(struct test *t, const struct shards *s, const struct written *x, size_t source,
                          enum shards_split split, int32_t length)
{
	const struct shards_stream *stream = &s->sources[source].split[split];
	int32_t *ids = mem_array((size_t)length, sizeof(*ids)), most = shards_most_pieces(stream, length), seen = 1;
	int32_t *piece = mem_array((size_t)most, sizeof(*piece));
	struct err e = ERR_INIT;
	size_t document = 1;

	CHECK(t, shards_windows(stream, length) == x->n[source][split] / (size_t)length);
	for (uint64_t w = 0; w < shards_windows(stream, length); w++) {
		uint64_t from = w * (uint64_t)length;
		int32_t n = shards_window(s, source, split, w, length, ids, piece, &e);
		CHECK(t, n >= 1 && n <= most && piece[0] == 0);
		CHECK(t, !memcmp(ids, x->ids[source][split] + from, (size_t)length * sizeof(*ids)));
		if (document < x->documents[source][split] && x->begin[source][split][document] == from)
			document++;
		for (int32_t i = 1; i < n; i++)
			CHECK(t, x->begin[source][split][document++] == from + (uint64_t)piece[i]);
		seen = MAX(seen, n);
	}
	CHECK_MSG(t, seen == most, "%d pieces at most, %d said", seen, most);
	mem_free(ids);
	mem_free(piece);
}

static void round_trip(struct test *t, struct written *x, uint32_t vocabulary)
{
	static const int32_t lengths[] = { 1, 2, 7, 64, 100, 1000, 100000 };
	struct shards s;
	struct err e = ERR_INIT;

	test_case(t, "written and read, a vocabulary of %u", vocabulary);
	CHECK_MSG(t, write_shards(x, place("trip"), vocabulary, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, shards_are(place("trip")) && shards_open(&s, place("trip"), &e) == 0, "%s", e.msg);
	CHECK(t, s.n_sources == 2 && s.vocabulary == vocabulary && s.end_of_text == END && strlen(s.hash) == 32);
	CHECK(t, s.id_bytes == (vocabulary <= 65536 ? 2 : 4) && shards_find(&s, "b") == 1 && shards_find(&s, "x") < 0);
	CHECK(t, s.sources[0].weight == 0.75 && isnan(s.sources[0].epochs) && s.sources[1].epochs == 3);
	for (size_t source = 0; source < 2; source++)
		for (int split = 0; split < SHARDS_SPLITS; split++) {
			const struct shards_stream *stream = &s.sources[source].split[split];
			CHECK(t, stream->tokens == x->n[source][split]);
			CHECK(t, stream->bytes == 3 * (stream->tokens - stream->documents));
			check_documents(t, stream, x->begin[source][split], x->documents[source][split]);
			for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
				check_windows(t, &s, x, source, split, lengths[i]);
		}
	CHECK(t, shards_total(&s, SHARDS_TRAIN).documents + shards_total(&s, SHARDS_VALID).documents == DOCUMENTS);
	CHECK_MSG(t, shards_verify(&s, &e) == 0, "%s", e.msg);
	shards_close(&s);
}

/* --- what is refused --- */

static void change(const char *dir, const char *name, size_t at, int by)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	char *path = io_join(dir, name);

	io_read(&b, path, &e);
	if (by && at < b.len)
		b.data[at] = (char)(b.data[at] + by);
	io_write(path, buf_str(&b), by ? b.len : at, &e); /* 0: the file ends there */
	buf_release(&b);
	mem_free(path);
}

static void torn(struct test *t, struct written *x)
{
	static const struct { const char *name; size_t at; int by; const char *part; } cases[] = {
		{ "web-train-00002.tokens", 10, 0, "00002.tokens has 10 bytes where manifest.json says 128" },
		{ "web-train.documents", 16, 0, "documents has 16 bytes where" },
		{ "b-valid.documents", 9, 1, "b-valid.documents is not what manifest.json says of it" },
		{ "manifest.json", 100, 0, "manifest.json" },
		{ "manifest.json", 17, 1, "it is no manifest of shards" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct shards s;
		struct err e = ERR_INIT;
		test_case(t, "torn: %s", cases[i].part);
		io_remove_tree(place("torn"), &e); /* one whose manifest is torn is no shards and not replaced */
		write_shards(x, place("torn"), 500, &e);
		change(place("torn"), cases[i].name, cases[i].at, cases[i].by);
		CHECK(t, shards_open(&s, place("torn"), &e) < 0);
		CHECK_MSG(t, strstr(e.msg, cases[i].part) != NULL, "%s", e.msg);
	}
}

static void changed(struct test *t, struct written *x)
{
	struct shards s;
	struct err e = ERR_INIT;
	int32_t ids[FILE_TOKENS];

	test_case(t, "a changed token is found, one beyond the vocabulary when it is read");
	write_shards(x, place("changed"), 500, &e);
	change(place("changed"), "b-train-00001.tokens", 4, 1);
	CHECK(t, shards_open(&s, place("changed"), &e) == 0);
	CHECK(t, shards_verify(&s, &e) < 0 && strstr(e.msg, "b-train-00001.tokens is not what manifest.json says"));
	shards_close(&s);
	change(place("changed"), "b-train-00001.tokens", 5, 100);
	CHECK(t, shards_open(&s, place("changed"), &e) == 0);
	CHECK(t, shards_read(&s, 1, SHARDS_TRAIN, 0, FILE_TOKENS, ids, &e) == 0);
	CHECK(t, shards_read(&s, 1, SHARDS_TRAIN, FILE_TOKENS, FILE_TOKENS, ids, &e) < 0);
	CHECK_MSG(t, strstr(e.msg, "b-train-00001.tokens holds an id beyond the vocabulary's 500"), "%s", e.msg);
	shards_close(&s);
}

static void places(struct test *t)
{
	const struct shards_facts f = { "0123456789abcdef0123456789abcdef", 10, END, 0 };
	struct shards_writer *w;
	struct err e = ERR_INIT;

	test_case(t, "what is no shards is left alone, names are checked");
	io_mkdirs(place("mine"), &e);
	char *path = io_join(place("mine"), "poem.txt");
	io_write(path, "x", 1, &e);
	CHECK(t, shards_writer_open(&w, place("mine"), &f, &e) < 0 && strstr(e.msg, "it is left alone"));
	CHECK(t, shards_writer_open(&w, path, &f, &e) < 0 && strstr(e.msg, "is a file"));
	CHECK(t, shards_writer_open(&w, place("none"), &f, &e) == 0);
	CHECK(t, shards_writer_source(w, "a/b", NAN, NAN, &e) < 0 && shards_writer_source(w, "", NAN, NAN, &e) < 0);
	CHECK(t, shards_writer_source(w, "a", NAN, NAN, &e) == 0 && shards_writer_source(w, "a", NAN, NAN, &e) < 0);
	shards_writer_abort(w);
	CHECK(t, !io_exists(place("none")));
	mem_free(path);
}

/* At whatever call of the system the process dies, under the name is nothing or all of it, old or new. */
static void killed(struct test *t, struct written *x)
{
	struct err e = ERR_INIT;
	int status = 0, died = 0;

	test_case(t, "killed at any moment");
	write_shards(x, place("killed"), 400, &e);
	for (long after = 0; after < 2000; after += after < 20 ? 1 : 37) {
		struct shards s;
		pid_t child = fork();
		if (!child) {
			faults_die_after(after);
			_exit(write_shards(x, place("killed"), 500, &e) == 0 ? 0 : 1);
		}
		waitpid(child, &status, 0);
		CHECK_MSG(t, shards_open(&s, place("killed"), &e) == 0, "after %ld: %s", after, e.msg);
		CHECK(t, shards_verify(&s, &e) == 0 && (s.vocabulary == 400 || s.vocabulary == 500));
		shards_close(&s);
		if (!WEXITSTATUS(status))
			break;
		died++;
	}
	CHECK_MSG(t, died > 20 && !WEXITSTATUS(status), "died %d times", died);
}

void test_shards(struct test *t)
{
	struct written *x = mem_alloc(sizeof(*x));

	round_trip(t, x, 500);
	round_trip(t, x, 70000);
	torn(t, x);
	changed(t, x);
	places(t);
	killed(t, x);
	mem_free(x);
}

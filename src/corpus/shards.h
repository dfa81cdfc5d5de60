/* shards: a corpus as tokens, in a folder that is mapped and never loaded.
 *
 *     manifest.json                what it is (below), hashes and lengths, how it was made
 *     SOURCE-train-00000.tokens    ids, little endian, 2 bytes where the vocabulary has at most 65,536, else 4
 *     SOURCE-train.documents       where each document begins, in tokens: 8 bytes each, little endian
 *     SOURCE-valid-…               the same of the documents that are held out
 *     tokenizer/                   what made the tokens, in transformers' files; may be missing
 *
 * A source's documents of a split lie end to end: one *stream*. Each ends with the end-of-text id, its
 * boundaries are what the index says; what a tokenizer puts before every text is at its beginning. A stream is cut into
 * files of `file_tokens` tokens, the last has the rest; files are not to be seen from outside.
 *
 * Window w of length T is tokens [w·T, (w+1)·T) of a stream. At document boundaries it falls into *pieces*, which are
 * to know nothing of each other: a piece is a document, or its beginning, middle or end. Every token is in exactly one
 * window but the stream's last tokens % T, which are in none.
 *
 * Opening checks every length, the manifest's words and the index of documents (their hash, that they rise); a file
 * that is torn or was changed in length is refused in one sentence. shards_verify reads all tokens for their hashes.
 * An id that is none of the vocabulary is an error when it is read, so a changed file cannot lead outside of a table.
 * Thread-safe for reading once open. */
#ifndef CORPUS_SHARDS_H
#define CORPUS_SHARDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/io.h"

struct tokenizer;

enum shards_split { SHARDS_TRAIN, SHARDS_VALID, SHARDS_SPLITS };
enum { SHARDS_SOURCES = 1024, SHARDS_NAME = 100 };     /* sources; bytes of a source's name: at most */

struct shards_stream {
	uint64_t tokens, documents;     /* tokens: with the ends of text and what stands before a text */
	uint64_t bytes;                 /* of the documents' text (UTF-8) as it was tokenized: for bits per byte */
	/* how the tokens lie; not for callers */
	struct mapping *files, index;
	size_t n_files;
	char (*hash)[33];
};

struct shards_source {
	const char *name;               /* letters, digits, '.', '_' and '-' */
	double weight, epochs;          /* as the mixture was asked for (corpus/mixture.h); NAN: not said */
	struct shards_stream split[SHARDS_SPLITS];
};

struct shards {
	const char *path;
	struct shards_source *sources;
	size_t n_sources;
	const char *tokenizer;          /* its hash, as shards_tokenizer_hash gives it */
	uint32_t vocabulary;            /* ids are 0..vocabulary-1 */
	int32_t end_of_text;
	uint32_t id_bytes;              /* 2 or 4 */
	uint64_t file_tokens;
	char hash[33];                  /* of the manifest, which has the hashes of all else: what was trained on */
	json_t *manifest;
	struct arena mem;
};

/* --- reading --- */

int shards_open(struct shards *s, const char *dir, struct err *e);
void shards_close(struct shards *s);
/* Is it a folder with a manifest of shards? Nothing else is looked at. */
bool shards_are(const char *dir);
/* −1 with a sentence: the shards are another tokenizer's. */
int shards_check_tokenizer(const struct shards *s, const struct tokenizer *t, struct err *e);
/* Reads everything, at the disk's speed: hashes, ids, that documents end as they shall. */
int shards_verify(const struct shards *s, struct err *e);
/* Index of the source of that name, −1: there is none. */
int64_t shards_find(const struct shards *s, const char *name);
const char *shards_split_name(enum shards_split split);       /* "train", "valid" */
/* Sums over all sources. */
struct shards_stream shards_total(const struct shards *s, enum shards_split split);

/* Tokens [at, at + n) of a stream; they are there. −1: an id that is none. */
int shards_read(const struct shards *s, size_t source, enum shards_split split, uint64_t at, size_t n, int32_t *ids,
                struct err *e);
/* Document i: where it begins, and how many tokens it has, its end of text among them. */
uint64_t shards_document(const struct shards_stream *x, uint64_t i, uint64_t *n);
/* Windows of `length` ≥ 1 tokens. */
uint64_t shards_windows(const struct shards_stream *x, int32_t length);
/* Window w: ids [length], and piece[i] is where piece i begins in it, piece[0] = 0. piece has room for
 * shards_most_pieces(…, length) numbers. Returns how many pieces, −1: an id that is none. */
int32_t shards_window(const struct shards *s, size_t source, enum shards_split split, uint64_t w, int32_t length,
                      int32_t *ids, int32_t *piece, struct err *e);
/* The most pieces that a window of this length has in the stream, over all of them; 1 where there is none. Reads the
 * index once. */
int32_t shards_most_pieces(const struct shards_stream *x, int32_t length);

/* --- writing --- */

struct shards_facts {
	const char *tokenizer;          /* hash */
	uint32_t vocabulary;
	int32_t end_of_text;
	uint64_t file_tokens;           /* 0: 2^28 */
};

/* The folder appears when all is there, in the place of a folder of shards or of nothing; until then it is written in
 * DIR.kungfu-part (base/folder.h), where the next writer finds what was saved before a process was killed. What it does
 * not go on with is removed by its first source. */
struct shards_writer;
int shards_writer_open(struct shards_writer **w, const char *dir, const struct shards_facts *f, struct err *e);
/* Sources are numbered as they are added; name as above, weight and epochs NAN where nobody said them. */
int shards_writer_source(struct shards_writer *w, const char *name, double weight, double epochs, struct err *e);
/* A document behind those of its stream: ids without the end of text, which is added; bytes: of its text. */
int shards_writer_add(struct shards_writer *w, size_t source, enum shards_split split, const int32_t *ids, size_t n,
                      uint64_t bytes, struct err *e);
/* Another file in the folder, as a report. */
int shards_writer_file(struct shards_writer *w, const char *name, const void *data, size_t n, struct err *e);
/* The tokenizer's files beside the shards, unless what is read from them has another hash than it. */
int shards_writer_tokenizer(struct shards_writer *w, const struct tokenizer *t, struct err *e);
/* Documents so far are on the disk and stay there; `of`: what the caller has to know of them, taken. */
int shards_writer_save(struct shards_writer *w, json_t *of, struct err *e);
/* What was saved last, or NULL where nothing was; the writer's. Before a source is added. */
const json_t *shards_writer_saved(const struct shards_writer *w);
/* All is as it was then. −1: it is damaged, or of other facts; from nothing it goes then. */
int shards_writer_resume(struct shards_writer *w, struct err *e);
/* The caller's own numbers, behind those under this name ("signatures") so far; how many bytes, and where they lie. */
int shards_writer_note(struct shards_writer *w, const char *name, const void *data, size_t n, struct err *e);
int shards_writer_noted(const struct shards_writer *w, const char *name, struct mapping *m, struct err *e);
/* built: what the manifest says beside of how it was made, an object (taken) or NULL. Frees w, whatever comes of it. */
int shards_writer_place(struct shards_writer *w, json_t *built, struct err *e);
/* Both free w; NULL is taken. What was saved goes, or stays for the next. */
void shards_writer_abort(struct shards_writer *w);
void shards_writer_leave(struct shards_writer *w);

void shards_tokenizer_hash(const struct tokenizer *t, char hex[33]);
/* The folder of the tokenizer that lies beside the shards in dir, mem_free; NULL: none does. */
char *shards_tokenizer_beside(const char *dir);

#endif

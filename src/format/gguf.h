/* gguf: the container of llama.cpp, versions 2 and 3, little endian. Source: ggml's docs/gguf.md.
 *
 * Everything is checked before it is used: counts are bounded by the bytes that are left, names are unique, dims and
 * products checked, every tensor lies inside the file at an aligned offset and none overlap. Data point into the
 * mapping. */
#ifndef FORMAT_GGUF_H
#define FORMAT_GGUF_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/io.h"
#include "tensor/dtype.h"

enum gguf_type {
	GGUF_U8,
	GGUF_I8,
	GGUF_U16,
	GGUF_I16,
	GGUF_U32,
	GGUF_I32,
	GGUF_F32,
	GGUF_BOOL,
	GGUF_STRING,
	GGUF_ARRAY,
	GGUF_U64,
	GGUF_I64,
	GGUF_F64
};

struct gguf_string { const char *data; size_t len; }; /* not NUL-terminated */

struct gguf_kv {
	const char *key;            /* NUL-terminated */
	enum gguf_type type;
	union { uint64_t u; int64_t i; double f; bool b; struct gguf_string s; } value; /* by kind of type */
	/* arrays: */
	enum gguf_type item_type;
	size_t n_items;
	/* numbers: raw little-endian bytes, maybe unaligned; strings: struct gguf_string[n_items] */
	const void *items;
};

struct gguf_tensor {
	const char *name;
	enum dtype dtype;
	int n_dims;
	uint64_t dim[4];            /* GGUF's order: dim[0] is the contiguous one */
	size_t offset, bytes;       /* in its file */
	const uint8_t *data;        /* where they are mapped */
};

struct gguf {
	struct arena mem;
	const char *path;
	struct mapping map;         /* empty when parsed from memory */
	const uint8_t *data;
	size_t size;
	uint32_t version;
	struct gguf_kv *kv;
	size_t n_kv;
	struct gguf_tensor *tensors;
	size_t n_tensors;
	const struct gguf_tensor **by_name; /* [n_tensors] sorted */
	struct gguf *parts;         /* [n_parts] the further files of a model that is split, for their maps */
	size_t n_parts;
};

/* A model that is split over files (llama.cpp's NAME-00001-of-00003.gguf) is opened by the first of them, whose keys
 * count, with the tensors of all. */
int gguf_open(struct gguf *g, const char *path, struct err *e);
/* Only this file, a part or a whole. */
int gguf_open_file(struct gguf *g, const char *path, struct err *e);
/* Opens the further parts of g, if it is a first one, and takes their tensors. */
int gguf_open_parts(struct gguf *g, struct err *e);
int gguf_sort_names(struct gguf *g, struct err *e);   /* by_name; no name may be there twice */
int gguf_parse(struct gguf *g, const void *data, size_t size, const char *where, struct err *e); /* data outlive g */
void gguf_close(struct gguf *g);
const struct gguf_kv *gguf_find(const struct gguf *g, const char *key); /* NULL */
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);

/* Typed values; absent: the default comes back when `required` is false, else a sentence. Any integer width is accepted
 * for gguf_int. */
int gguf_int(const struct gguf *g, const char *key, bool required, int64_t init, int64_t *out, struct err *e);
int gguf_real(const struct gguf *g, const char *key, bool required, double init, double *out, struct err *e);
int gguf_bool(const struct gguf *g, const char *key, bool required, bool init, bool *out, struct err *e);
/* Any value, new reference: of an array how many items it has; what is not finite is null. */
json_t *gguf_json(const struct gguf_kv *kv);
/* NUL-terminated copy in g->mem, or NULL */
int gguf_str(const struct gguf *g, const char *key, bool required, const char **out, struct err *e);

#endif

/* call: what every function of kungfu.h does before and after its own work. src/api includes it, nobody else.
 *
 *     struct call c;
 *     if (call_begin(&c, s, KIND_SESSION, error) < 0)     the handle is there, of the right kind, and nobody else's
 *             return KF_MISUSE;
 *     if (length < 0)
 *             return call_misuse(&c, "…");
 *     return call_end(&c, session_work(…, &c.err));       0: KF_OK; -1: KF_FAILED and the sentence in c.err
 *
 * Between begin and end the thread computes as the library does (denormals flushed, C locale, its log lent); callbacks
 * run as the caller was. */
#ifndef API_CALL_H
#define API_CALL_H

#include <kungfu.h>
#include <locale.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/pool.h"
#include "kernel/kernels.h"

enum kind {
	KIND_NONE,
	KIND_MODEL = 0x6b660001, KIND_ADAPTER, KIND_DATA, KIND_SHARED_END,   /* any number of threads at once */
	KIND_SESSION, KIND_EVALUATOR, KIND_TRAINER, KIND_LABELLER,           /* one thread at a time */
};

struct handle {                       /* the first member of every handle */
	uint32_t kind;
	atomic_bool busy, freed;      /* freed: while it was busy, so that the call's end frees it */
	atomic_int refs;              /* of shared ones */
	struct kf_settings settings;
};

struct call {
	struct err err;
	bool stopped;                 /* a callback said so: a failure is KF_STOPPED */
	struct kf_error *error;
	struct handle *handle;        /* to be given back, or NULL */
	struct kf_settings settings;
	struct log_sink sink;
	/* As the thread was. */
	const struct log_sink *outer_sink;
	unsigned long outer_floats;
	locale_t outer_locale;
};

/* -1: refused, error is filled, nothing to end */
int call_begin(struct call *c, const void *handle, enum kind kind, struct kf_error *error);
/* for functions that make a handle */
int call_open(struct call *c, const struct kf_settings *settings, struct kf_error *error);
/* ends the call with KF_MISUSE, which it returns */
int call_misuse(struct call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int call_end(struct call *c, int status);
void call_outside(struct call *c);    /* around callbacks */
void call_inside(struct call *c);

/* A handle's beginning, with the settings of the call that makes it. */
void handle_init(struct handle *h, enum kind kind, const struct call *c);
bool handle_is(const void *handle, enum kind kind);
void *handle_share(void *handle);     /* one more reference; NULL for NULL */
bool handle_drop(void *handle);       /* one less; true when it was the last */
/* Of one that serves one call at a time: whether it is in one, whose end will free it then; else it is taken. */
bool handle_defer(void *handle);
struct pool *handle_pool(const struct handle *h);

/* For checks. "" and "-" are no paths here. */
bool is_path(const char *path);
bool is_zero(const void *bytes, size_t n);
bool are_ids(const int32_t *ids, size_t n, int32_t vocabulary, size_t *wrong);

#endif

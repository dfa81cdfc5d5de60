/* session: one conversation with a model: a cache of keys and values, tokens in, logits out. */
#ifndef INFER_SESSION_H
#define INFER_SESSION_H

#include "adapt/adapter.h"
#include "infer/sampler.h"

struct session;

int session_new(struct session **s, struct model *m, const struct adapter *a, struct pool *pool, const struct kernels *k, int n_ctx, struct err *e);
void session_free(struct session *s);
/* Feeds tokens after those it has; logits [V] of the last one are borrowed until the next call. A full context is an error with both numbers. */
int session_feed(struct session *s, const int32_t *ids, size_t n, const float **logits, struct err *e);
int session_length(const struct session *s);
int session_limit(const struct session *s);
/* Memory that it holds: the plan's arena, scratch of all threads, batch, rotary table; and the cache, which becomes real as it fills. */
void session_bytes(const struct session *s, size_t *work, size_t *cache);
void session_truncate(struct session *s, int length);  /* forget all after the first `length` tokens */

#endif

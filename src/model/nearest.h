/* nearest: what is said of a model whose architecture is not here: which of those that are is the nearest by the names
 * of its tensors, and what the two have apart. */
#ifndef MODEL_NEAREST_H
#define MODEL_NEAREST_H

#include "format/source.h"

/* −1 and the sentence. where: the file that says `found`. Of a source that was opened for its facts alone there are
 * no names of tensors, then all architectures are said. */
int nearest_refuse(const struct source *s, const char *where, const char *found, struct err *e);

#endif

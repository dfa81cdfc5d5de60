/* pytorch: files of torch.save: pytorch_model.bin, a state dict in a .pt or .pth. Source: PyTorch's serialization.py.
 *
 * Since 1.6 a zip archive: NAME/data.pkl, a pickle of the state dict whose tensors are views of storages, and
 * NAME/data/KEY, the storages' bytes as they lie in memory; before, the same parts one behind the other. The pickle is
 * read by a machine that runs nothing (format/pickle.h): tensors, parameters, ordered dicts, storages; anything else is
 * refused by its name. What comes out is what a safetensors file gives, so that whoever reads one reads both.
 *
 * Data point into the mapping; a tensor that is no contiguous view (a transposed one) is copied. Of a checkpoint that
 * holds more than weights its state_dict or model is taken. */
#ifndef FORMAT_PYTORCH_H
#define FORMAT_PYTORCH_H

#include "format/safetensors.h"

/* Closed by st_close. */
int pytorch_open(struct safetensors *s, const char *path, struct err *e);
int pytorch_parse(struct safetensors *s, const void *data, size_t size, const char *where, struct err *e);
bool pytorch_is_name(const char *name);   /* ends in .bin, .pt or .pth */

#endif

// Keeping typed arrays alive while native code holds pointers into them.
#pragma once

#include "napi-args.h"

namespace culvert {

template <size_t N>
bool pin(Arguments<N>& args, size_t index, napi_typedarray_type type, PinnedArray& out) {
  out.data = args.typedArray(index, type, &out.length);
  return args.ok && napi_create_reference(args.env, args.values[index], 1, &out.reference) == napi_ok;
}

inline void unpin(napi_env env, PinnedArray& pinned) {
  if (pinned.reference != nullptr) napi_delete_reference(env, pinned.reference);
  pinned.reference = nullptr;
}

}  // namespace culvert

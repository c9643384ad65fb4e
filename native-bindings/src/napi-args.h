// Reading arguments of Node-API calls. Every exported function takes integers, typed arrays and externals, and returns
// an integer >= 0 or -errno: a wrong argument gives -EINVAL, never an exception.
#pragma once

#include <node_api.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace culvert {

template <size_t N>
struct Arguments {
  napi_env env;
  napi_value values[N];
  size_t count = N;
  bool ok;

  Arguments(napi_env e, napi_callback_info info) : env(e) {
    ok = napi_get_cb_info(env, info, &count, values, nullptr, nullptr) == napi_ok && count >= N;
  }

  /** Clears `ok` for what is not a whole number of 32 bits: Node-API would make 0 of NaN, a valid descriptor. */
  int32_t integer(size_t index) {
    double value = 0;
    if (ok && napi_get_value_double(env, values[index], &value) != napi_ok) ok = false;
    if (!(value >= INT32_MIN && value <= INT32_MAX) || value != static_cast<int32_t>(value)) {
      ok = false;
      return 0;
    }
    return static_cast<int32_t>(value);
  }

  /** Pointer and length in elements of a typed array of `type`; clears `ok` for anything else. */
  void* typedArray(size_t index, napi_typedarray_type type, size_t* length) {
    void* data = nullptr;
    napi_typedarray_type actual = napi_int8_array;
    if (!ok) return nullptr;
    if (napi_get_typedarray_info(env, values[index], &actual, length, &data, nullptr, nullptr) != napi_ok ||
        actual != type || (data == nullptr && *length > 0)) {
      ok = false;
      return nullptr;
    }
    return data;
  }
  uint8_t* bytes(size_t index, size_t* length) {
    return static_cast<uint8_t*>(typedArray(index, napi_uint8_array, length));
  }
  int32_t* words(size_t index, size_t* length) {
    return static_cast<int32_t*>(typedArray(index, napi_int32_array, length));
  }

  /** An external made by `makeExternal` with the same tag. */
  template <typename T>
  T* external(size_t index) {
    void* data = nullptr;
    if (!ok || napi_get_value_external(env, values[index], &data) != napi_ok || data == nullptr ||
        static_cast<T*>(data)->tag != T::TAG) {
      ok = false;
      return nullptr;
    }
    return static_cast<T*>(data);
  }

  /** A short string such as a device name; clears `ok` when it does not fit. */
  void text(size_t index, char* out, size_t capacity) {
    size_t length = 0;
    if (!ok) return;
    if (napi_get_value_string_utf8(env, values[index], nullptr, 0, &length) != napi_ok || length + 1 > capacity ||
        napi_get_value_string_utf8(env, values[index], out, capacity, &length) != napi_ok) {
      ok = false;
    }
  }
};

inline napi_value integerResult(napi_env env, int64_t value) {
  napi_value result = nullptr;
  napi_create_int32(env, static_cast<int32_t>(value), &result);
  return result;
}

/** errno of the call that just failed, as a result. */
inline napi_value errnoResult(napi_env env) { return integerResult(env, -errno); }

struct Export {
  const char* name;
  napi_callback callback;
};

template <size_t N>
napi_status registerFunctions(napi_env env, napi_value exports, const Export (&functions)[N]) {
  for (const Export& entry : functions) {
    napi_value function = nullptr;
    napi_status status = napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.callback, nullptr, &function);
    if (status == napi_ok) status = napi_set_named_property(env, exports, entry.name, function);
    if (status != napi_ok) return status;
  }
  return napi_ok;
}

/** A typed array that native code goes on using: the reference keeps it alive, the pointer stays valid with it. */
struct PinnedArray {
  napi_ref reference = nullptr;
  void* data = nullptr;
  size_t length = 0;
};

}  // namespace culvert

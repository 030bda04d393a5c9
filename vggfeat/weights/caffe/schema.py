"""The messages of Caffe's files, as far as the family A to E needs them.

Built from their public field numbers; what is not listed is skipped when a file is parsed. A layer
is a `LayerParameter` in current files and a `V1LayerParameter` in older ones, and both name their
parameters alike. The arrays of a blob are not listed: `wire` finds them.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# Message -> "number name type [= default]"; a star makes it repeated.
_MESSAGES = {
    "BlobShape": ["1 dim int64*"],
    "BlobProto": [
        "1 num int32", "2 channels int32", "3 height int32", "4 width int32", "7 shape BlobShape",
    ],
    "ConvolutionParameter": [
        "1 num_output uint32", "2 bias_term bool = true", "3 pad uint32*", "4 kernel_size uint32*",
        "5 group uint32 = 1", "6 stride uint32*", "9 pad_h uint32", "10 pad_w uint32",
        "11 kernel_h uint32", "12 kernel_w uint32", "13 stride_h uint32", "14 stride_w uint32",
        "16 axis int32 = 1", "18 dilation uint32*",
    ],
    "PoolingParameter": [
        "1 pool PoolMethod = MAX", "2 kernel_size uint32", "3 stride uint32 = 1", "4 pad uint32",
        "5 kernel_h uint32", "6 kernel_w uint32", "7 stride_h uint32", "8 stride_w uint32",
        "9 pad_h uint32", "10 pad_w uint32", "12 global_pooling bool",
        "13 round_mode RoundMode = CEIL",
    ],
    "InnerProductParameter": [
        "1 num_output uint32", "2 bias_term bool = true", "5 axis int32 = 1", "6 transpose bool",
    ],
    "LRNParameter": [
        "1 local_size uint32 = 5", "2 alpha float = 1", "3 beta float = 0.75",
        "4 norm_region NormRegion = ACROSS_CHANNELS", "5 k float = 1",
    ],
    "ReLUParameter": ["1 negative_slope float"],
    "DropoutParameter": ["1 dropout_ratio float = 0.5"],
    "InputParameter": ["1 shape BlobShape*"],
    "LayerParameter": [
        "1 name string", "2 type string", "3 bottom string*", "4 top string*",
        "106 convolution_param ConvolutionParameter", "108 dropout_param DropoutParameter",
        "117 inner_product_param InnerProductParameter", "118 lrn_param LRNParameter",
        "121 pooling_param PoolingParameter", "123 relu_param ReLUParameter",
        "143 input_param InputParameter",
    ],
    "V0LayerParameter": [],
    "V1LayerParameter": [
        "1 layer V0LayerParameter", "2 bottom string*", "3 top string*", "4 name string",
        "5 type LayerType", "10 convolution_param ConvolutionParameter",
        "12 dropout_param DropoutParameter", "17 inner_product_param InnerProductParameter",
        "18 lrn_param LRNParameter", "19 pooling_param PoolingParameter",
        "30 relu_param ReLUParameter",
    ],
    "NetParameter": [
        "1 name string", "2 layers V1LayerParameter*", "3 input string*", "4 input_dim int32*",
        "8 input_shape BlobShape*", "100 layer LayerParameter*",
    ],
}  # fmt: skip
# Enumeration -> its values, numbered from 0.
_ENUMERATIONS = {
    "PoolMethod": "MAX AVE STOCHASTIC",
    "RoundMode": "CEIL FLOOR",
    "NormRegion": "ACROSS_CHANNELS WITHIN_CHANNEL",
    "LayerType": "NONE ACCURACY BNLL CONCAT CONVOLUTION DATA DROPOUT EUCLIDEAN_LOSS FLATTEN"
    " HDF5_DATA HDF5_OUTPUT IM2COL IMAGE_DATA INFOGAIN_LOSS INNER_PRODUCT LRN"
    " MULTINOMIAL_LOGISTIC_LOSS POOLING RELU SIGMOID SOFTMAX SOFTMAX_LOSS SPLIT TANH WINDOW_DATA"
    " ELTWISE POWER SIGMOID_CROSS_ENTROPY_LOSS HINGE_LOSS MEMORY_DATA ARGMAX THRESHOLD DUMMY_DATA"
    " SLICE MVN ABSVAL SILENCE CONTRASTIVE_LOSS EXP DECONVOLUTION",
}
_PACKAGE = "vggfeat.caffe"


def _field(line: str) -> descriptor_pb2.FieldDescriptorProto:
    declaration, _, default = line.partition(" = ")
    number, name, kind = declaration.split()
    field = descriptor_pb2.FieldDescriptorProto(name=name, number=int(number))
    repeated, kind = kind.endswith("*"), kind.removesuffix("*")
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if kind in _MESSAGES or kind in _ENUMERATIONS:
        field.type = field.TYPE_MESSAGE if kind in _MESSAGES else field.TYPE_ENUM
        field.type_name = f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")
    field.options.packed = kind == "int64"  # BlobShape, as Caffe writes it
    if default:
        field.default_value = default
    return field


def _classes() -> dict[str, type]:
    file = descriptor_pb2.FileDescriptorProto(
        name="vggfeat/caffe.proto", package=_PACKAGE, syntax="proto2"
    )
    for name, values in _ENUMERATIONS.items():
        enumeration = file.enum_type.add(name=name)
        for number, value in enumerate(values.split()):
            enumeration.value.add(name=value, number=number)
    for name, lines in _MESSAGES.items():
        file.message_type.add(name=name, field=[_field(line) for line in lines])
    pool = descriptor_pool.DescriptorPool()  # of our own: pycaffe fills the common one
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_message_classes = _classes()
BlobProto = _message_classes["BlobProto"]
LayerParameter = _message_classes["LayerParameter"]
V1LayerParameter = _message_classes["V1LayerParameter"]
NetParameter = _message_classes["NetParameter"]

"""The error answers of the service: code -> HTTP status and message, as its error tables give them."""

from __future__ import annotations


class ApiError(Exception):
    """An error answer. `status` and `message` default to what CODES has for the code.

    Args:
        code: the service's error code.
        message: instead of the usual one.
        status: instead of the usual HTTP status (the tables give some codes two).
        headers: extra HTTP headers.
    """

    def __init__(self, code: str, message: str = "", status: int = 0, headers: dict[str, str] | None = None) -> None:
        documented = CODES.get(code, (400, "The request was denied."))
        self.code = code
        self.status = status or documented[0]
        self.message = message or documented[1]
        self.headers = headers or {}
        super().__init__(f"{self.status} {code}: {self.message}")


def missing(name: str) -> ApiError:
    """A required parameter is not there."""
    return ApiError(
        "MissingParameter",
        f'The input parameter "{name}" that is mandatory for processing this request is not supplied.',
    )


def invalid(name: str, why: str = "is not valid") -> ApiError:
    """A parameter has a value that it cannot have, and the service has no code of its own for it."""
    return ApiError("InvalidParameter", f'The specified parameter "{name}" {why}.')


CODES: dict[str, tuple[int, str]] = {
    # the gateway
    "InvalidAccessKeyId.NotFound": (404, "Specified access key is not found."),
    "MissingAccessKeyId": (400, "AccessKeyId is mandatory for this action."),
    "SignatureDoesNotMatch": (400, "Specified signature is not matched with our calculation."),
    "IncompleteSignature": (400, "The request signature does not conform to Aliyun standards."),
    "SignatureNonceUsed": (400, "Specified signature nonce was used already."),
    "InvalidTimeStamp.Expired": (400, "Specified time stamp or date value is expired."),
    "InvalidTimeStamp.Format": (400, "Specified time stamp or date value is not well formatted."),
    "InvalidSecurityToken.Expired": (400, "Specified SecurityToken is expired."),
    "InvalidAction.NotFound": (404, "Specified api is not found, please check your url and method."),
    "InvalidVersion": (400, "Specified parameter Version is not valid."),
    "Throttling.User": (400, "Request was denied due to user flow control."),
    "Throttling.Api": (400, "Request was denied due to api flow control."),
    "Throttling": (400, "Request was denied due to request throttling."),
    "InternalError": (500, "The request processing has failed due to some unknown error."),
    "ServiceUnavailable": (503, "The request has failed due to a temporary failure of the server."),
    "Forbidden.RAM": (
        403,
        "User not authorized to operate on the specified resource, or this API doesn't support RAM.",
    ),
    # parameters in general
    "MissingParameter": (400, "A mandatory parameter is not supplied."),
    "InvalidParameter": (400, "A parameter is not valid."),
    "InvalidParameter.Conflict": (400, "The specified parameters conflict with each other."),
    "InvalidParameter.Mismatch": (400, "The specified parameters do not match each other."),
    "DryRunOperation": (400, "Request validation has been passed with DryRun flag set."),
    "DRYRUN.SUCCESS": (400, "Request validation has been passed with DryRun flag set."),
    "InvalidClientToken.ValueNotSupported": (
        400,
        "The ClientToken provided is invalid: at most 64 ASCII characters are supported.",
    ),
    "IdempotentParameterMismatch": (
        403,
        "Request uses a client token in a previous request but is not identical to that request.",
    ),
    "InvalidRegionId.NotFound": (404, "The specified RegionId does not exist."),
    "Invalid.RegionId": (404, "The specified parameter RegionId is not valid."),
    "InvalidZoneId.NotFound": (404, "The specified zone does not exist."),
    "InvalidStatus.NotFound": (404, "The specified Status does not exist."),
    "InvalidTagKey.Malformed": (400, "The specified Tag.n.Key is not valid."),
    "InvalidTagValue.Malformed": (400, "The specified Tag.n.Value is not valid."),
    "InvalidTagCount": (400, "The specified tags are beyond the permitted range."),
    "Duplicate.TagKey": (400, "The Tag.N.Key contains a duplicate key."),
    "QuotaExceed.Tags": (403, "The quota of tags on the resource is exceeded."),
    "InvalidResourceId.NotFound": (404, "The specified ResourceId does not exist."),
    "InvalidResourceType.NotFound": (404, "The specified ResourceType does not exist."),
    "MissingParameter.ResourceType": (404, "The ResourceType is missing."),
    "MissingParameter.Tags": (404, "The parameter Tags or ResourceIds is mandatory for this action."),
    "NumberExceed.ResourceIds": (400, "The ResourceIds parameter's number is exceeded."),
    "NumberExceed.Tags": (400, "The Tags parameter's number is exceeded."),
    # types, images, stock, price
    "InvalidInstanceType.ValueNotSupported": (400, "The specified InstanceType does not exist or is beyond the range."),
    "InvalidInstanceType.ZoneNotSupported": (403, "The specified zone does not support this instance type."),
    "InvalidImageId.NotFound": (404, "The specified ImageId does not exist."),
    "ImageNotSupportInstanceType": (403, "The specified image does not support the specified instance type."),
    "OperationDenied.NoStock": (
        403,
        "The requested resource is sold out in the specified zone; try other types of resources or other regions and "
        "zones.",
    ),
    "PriceNotFound": (400, "The price of your queried resource is not available now, please try other resources."),
    # instances
    "InvalidInstanceId.NotFound": (404, "The specified InstanceId does not exist."),
    "InvalidInstanceIds.Malformed": (
        400,
        "The specified InstanceIds are no JSON list of at most 100 ids.",
    ),
    "InvalidInstanceName.Malformed": (400, "The specified InstanceName is not valid."),
    "InvalidHostName.Malformed": (400, "The specified HostName is not valid."),
    "InvalidMinAmount.Malformed": (400, "The specified MinAmount is not valid."),
    "InvalidMaxAmount.Malformed": (400, "The specified Amount must be between 1 and 100."),
    "InvalidInstanceChargeType.NotSupport": (400, "The specified InstanceChargeType is not supported here."),
    "InvalidInternetMaxBandwidthOut.Malformed": (400, "The specified InternetMaxBandwidthOut must be 0 to 100."),
    "InvalidInternetMaxBandwidthOut.ValueNotSupported": (
        400,
        "The specified InternetMaxBandwidthOut is beyond the permitted range.",
    ),
    "InvalidInternetChargeType.ValueNotSupported": (400, "The specified InternetChargeType is not valid."),
    "InvalidSystemDiskCategory.ValueNotSupported": (400, "The specified SystemDisk.Category is not supported."),
    "InvalidSystemDiskSize.ValueNotSupported": (400, "The specified SystemDisk.Size is beyond the permitted range."),
    "InvalidSystemDiskSize.LessThanImageSize": (404, "The specified SystemDisk.Size is less than the image size."),
    "InvalidDataDiskCategory.ValueNotSupported": (400, "The specified DataDisk.n.Category is not supported."),
    "InvalidDataDiskSize.ValueNotSupported": (400, "The specified DataDisk.n.Size is beyond the permitted range."),
    "InvalidDiskCategory.NotSupported": (403, "The specified disk category is not supported by the instance type."),
    "InvalidUserData.SizeExceeded": (400, "The specified parameter UserData exceeds the size."),
    "InvalidUserData.Forbidden": (403, "User not authorized to input the parameter UserData, or it is not Base64."),
    "InvalidAutoReleaseTime.Malformed": (400, "The specified AutoReleaseTime is out of the permitted range."),
    "InvalidSpotStrategy": (400, "The specified SpotStrategy is not valid."),
    "InvalidSpotPriceLimit": (400, "The specified SpotPriceLimit is not valid."),
    "InvalidSpotPriceLimit.LowerThanPublicPrice": (400, "The specified SpotPriceLimit is lower than the market price."),
    "InvalidSpotDuration": (400, "The specified SpotDuration is not valid."),
    "InvalidSpotInterruptionBehavior": (400, "The specified SpotInterruptionBehavior is not valid."),
    "InvalidPrivateIpAddress.Malformed": (400, "The specified PrivateIpAddress is not in the VSwitch's CIDR block."),
    "InvalidPrivateIpAddress.Duplicated": (400, "The specified PrivateIpAddress is in use."),
    "QuotaExceed.AfterpayInstance": (400, "The maximum number of Pay-as-you-go instances is exceeded."),
    "QuotaExceed.ElasticQuota": (403, "The number of vCPUs assigned to the ECS instances has exceeded the quota."),
    "InvalidAccountStatus.NotEnoughBalance": (403, "Your account does not have enough balance."),
    "IncorrectInstanceStatus": (403, "The current status of the resource does not support this operation."),
    "IncorrectInstanceStatus.Initializing": (403, "The specified instance status does not support this operation."),
    "InvalidOperation.DeletionProtection": (403, "The operation is not allowed due to deletion protection."),
    "AllocatedAlready": (403, "The specified instance already has a public IP address."),
    "AllocateIpInvalidInstanceBandwidth": (400, "The bandwidth of the instance must be over 0 for a public IP."),
    # networks
    "InvalidVpcId.NotFound": (404, "The specified VPC does not exist."),
    "IncorrectVpcStatus": (400, "The current status of the VPC does not support this operation."),
    "InvalidCidrBlock.Malformed": (400, "The specified CIDR block is not valid."),
    "InvalidCidrBlock.Overlapped": (400, "The specified CIDR block overlaps with other subnets."),
    "InvalidCidrBlock": (400, "The specified CIDR block is not in the VPC's."),
    "QuotaExceeded.Vpc": (400, "The number of VPCs exceeds the quota."),
    "ResourceNotAvailable": (400, "Resource you requested is not available in this region or zone."),
    "QuotaExceeded.VSwitch": (400, "The number of VSwitches exceeds the quota."),
    "InvalidVSwitchId.NotFound": (404, "The specified VSwitch does not exist."),
    "InvalidVSwitchId.Necessary": (400, "The parameter VSwitchId is necessary for a security group of a VPC."),
    "InvalidVSwitchId.IpInvalid": (403, "The VSwitch has no address left."),
    "IncorrectVSwitchStatus": (400, "The current status of the VSwitch does not support this operation."),
    "InvalidVpcZone.NotSupported": (400, "The specified operation is not allowed: the VSwitch is in another zone."),
    "DependencyViolation": (403, "There is still resource in the specified security group."),
    "DependencyViolation.Instance": (400, "Specified object has dependent resources: instances."),
    "DependencyViolation.VSwitch": (400, "Specified object has dependent resources: VSwitches."),
    "DependencyViolation.SecurityGroup": (400, "Specified object has dependent resources: security groups."),
    # security groups
    "InvalidSecurityGroupId.NotFound": (404, "The specified SecurityGroupId does not exist."),
    "InvalidSecurityGroupName.Malformed": (400, "The specified SecurityGroupName is not valid."),
    "QuotaExceed.SecurityGroup": (403, "The maximum number of security groups is reached."),
    "InvalidIpProtocol.ValueNotSupported": (400, "The specified IpProtocol is not supported."),
    "InvalidPortRange.Malformed": (400, "The specified PortRange is not valid."),
    "InvalidSourceCidrIp.Malformed": (400, "The specified SourceCidrIp is not valid."),
    "InvalidPolicy.Malformed": (400, "The specified Policy is not valid."),
    "InvalidPriority.ValueNotSupported": (400, "The specified Priority is not between 1 and 100."),
    "MissingParameter.Source": (400, "One of the parameters SourceCidrIp, SourceGroupId is mandatory."),
    "InvalidSourceGroupId.NotFound": (404, "The specified SourceGroupId does not exist."),
    "InvalidInstanceId.AlreadyExists": (400, "The specified instance already exists in the specified security group."),
    "InstanceLastSecurityGroup": (403, "This operation is forbidden: it is the instance's last security group."),
    "AuthorizationLimitExceed": (403, "The number of rules exceeds the limit."),
    # key pairs, disks, addresses, commands
    "InvalidKeyPair.NotFound": (404, "The specified KeyPairName does not exist."),
    "InvalidKeyPairName.Malformed": (400, "The specified KeyPairName is not valid."),
    "KeyPair.AlreadyExist": (400, "The key pair already exist."),
    "InvalidPublicKeyBody.Malformed": (400, "The specified PublicKeyBody is not valid."),
    "InvalidKeyPairNames.ValueNotSupported": (400, "The specified KeyPairNames is not a JSON list of names."),
    "InvalidParameter.KeypairAlreadyAttachedInstance": (
        400,
        'The specified parameter "KeyPairNames" attached to instances can not be deleted.',
    ),
    "QuotaExceed.KeyPair": (403, "The key pair quota is exceeded."),
    "InvalidDiskId.NotFound": (404, "The specified disk does not exist."),
    "IncorrectDiskStatus": (403, "The current disk status does not support this operation."),
    "InvalidAllocationId.NotFound": (404, "The specified EIP does not exist."),
    "IncorrectEipStatus": (400, "The current status of the EIP does not support this operation."),
    "InvalidInstance.NotFound": (404, "The specified instances do not exist."),
    "InvalidInstance.NotMatch": (403, "The specified instances do not match this operation: they are not running."),
    "InvalidCmdType.NotFound": (403, "The type of the command does not exist."),
    "InvalidCmdContent.DecodeError": (403, "The CommandContent can not be base64 decoded."),
    "CmdContent.ExceedLimit": (403, "The length of the command content exceeds the limit."),
    "InstanceIds.ExceedLimit": (403, "The number of instance IDs exceeds the limit."),
}

//! Hosts of AWS (<https://docs.aws.amazon.com/general/latest/gr/s3.html>) and access points by ARN.

use crate::bucket;
use sandbucket_plugin::contract::error::{Error, Failure, tidy};

use super::{AddressingStyle, AwsHosts, Endpoint};

/// The host of Amazon S3 in a region, without a bucket.
pub(super) fn host(region: &str, hosts: AwsHosts) -> Result<String, Failure> {
    let domain = domain(region, hosts)?;
    let AwsHosts { dual_stack, fips, accelerate } = hosts;
    let dual = if dual_stack { ".dualstack" } else { "" };
    if accelerate {
        if fips || region.starts_with("cn-") {
            let with = if fips { "fips" } else { "AWS's regions in China" };
            return Err(Error::fault("accelerate", format!("accelerate does not go with {with}")));
        }
        return Ok(format!("s3-accelerate{dual}.{domain}"));
    }
    let s3 = if fips { "s3-fips" } else { "s3" };
    Ok(format!("{s3}{dual}.{region}.{domain}"))
}

/// Resolves an access point: `arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME`, or with a colon before the name.
pub(super) fn access_point(
    endpoint: Option<&str>,
    arn: &str,
    style: AddressingStyle,
    hosts: AwsHosts,
) -> Result<Endpoint, Failure> {
    let wrong = |why: &str| Err(Error::fault("bucket", format!("the bucket \"{}\" cannot be: {why}", tidy(arn, 200))));
    let mut fields = arn.splitn(6, ':').skip(1);
    let mut field = || fields.next().unwrap_or_default();
    let (partition, service, region, account, resource) = (field(), field(), field(), field(), field());
    match service {
        "s3" => {}
        "s3-outposts" => return wrong("S3 on Outposts is not supported"),
        "s3-object-lambda" => return wrong("access points of Object Lambda are not supported"),
        "s3express" => return wrong("directory buckets and their access points are not supported"),
        _ => return wrong("it is the ARN of something else than an access point of S3"),
    }
    let name = match resource.split_once(['/', ':']) {
        Some(("accesspoint", name)) => name,
        _ => {
            return wrong(
                "of ARNs, only arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME is taken; give a bucket's name",
            );
        }
    };
    if region.is_empty() {
        return wrong("access points of several regions need SigV4A signatures, which are not supported");
    }
    let domain = domain(region, hosts)?;
    let ours = match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    if partition != ours {
        return wrong("its partition and its region do not belong together");
    }
    if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
        return wrong("its account is not 12 digits");
    }
    if !bucket::is_dns_label(name) || name.len() > 50 {
        return wrong("an access point's name has 3 to 50 lower-case letters, digits and hyphens");
    }
    if endpoint.is_some() {
        return wrong("an access point goes with no endpoint: leave it blank");
    }
    if style == AddressingStyle::Path {
        return wrong("an access point goes with no addressing-style path");
    }
    if hosts.accelerate {
        return wrong("an access point goes with no accelerate");
    }
    let fips = if hosts.fips { "-fips" } else { "" };
    let dual = if hosts.dual_stack { ".dualstack" } else { "" };
    let host = format!("s3-accesspoint{fips}{dual}.{region}.{domain}");
    Ok(Endpoint {
        https: true,
        authority: format!("{name}-{account}.{host}"),
        base_path: String::new(),
        service: None,
        aws: true,
        region: Some(region.to_owned()),
        display: format!("https://{host}"),
    })
}

/// The domain of hosts in a region.
fn domain(region: &str, hosts: AwsHosts) -> Result<&'static str, Failure> {
    let wrong = |why: &str| {
        let message = format!(
            "the region \"{}\" {why}; with no endpoint given the store is Amazon S3: set the endpoint if it is another service",
            tidy(region, 64)
        );
        Err(Error::fault("region", message))
    };
    if !bucket::is_dns_label(region) || !region.contains('-') || !region.ends_with(|c: char| c.is_ascii_digit()) {
        return wrong("is not spelled as AWS spells them, such as eu-central-1");
    }
    if region.starts_with("eusc-") || region.contains("-iso") {
        return wrong("is in a partition of AWS whose hosts must be given as the endpoint");
    }
    if !region.starts_with("cn-") {
        return Ok("amazonaws.com");
    }
    if hosts.fips {
        return Err(Error::fault("fips", "AWS has no FIPS hosts in its regions in China"));
    }
    Ok("amazonaws.com.cn")
}
